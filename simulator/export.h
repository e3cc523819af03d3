// The library hides everything but CANN's names and the few of its own control.
#pragma once

#define EXPORT extern "C" __attribute__((visibility("default")))
