// How a call is written down.
#pragma once

#include "call.h"
#include "json.h"

namespace host_cann {

// Adds the call's inputs, outputs and attributes, by CANN's names for them.
void Describe(const Call &call, JsonObject *line);

}  // namespace host_cann
