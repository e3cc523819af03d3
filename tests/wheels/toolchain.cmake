# For `python -m tests.wheels`, which sets the variables of the environment: GCC 12 for an architecture, linked against
# what tests/wheels/stubs.py made of the system's libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{WHEEL_ARCHITECTURE})
set(CMAKE_CXX_COMPILER ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu-g++-12)

set(CMAKE_COMPILE_WARNING_AS_ERROR ON)

# The same bytes wherever it is built.
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_CXX_FLAGS_INIT -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)

# A symbol that the oldest system lacks is an error, and what takes the place of one is hidden. libpthread by name: without
# it an older libstdc++ starts no thread.
set(CMAKE_EXE_LINKER_FLAGS_INIT -L$ENV{WHEEL_STUBS})  # of CMake's own trials
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-L$ENV{WHEEL_STUBS} -Wl,-z,defs -Wl,--as-needed -Wl,--exclude-libs,libsince.a")
set(CMAKE_CXX_STANDARD_LIBRARIES "-lsince -ldl -Wl,--push-state,--no-as-needed -lpthread -Wl,--pop-state")
