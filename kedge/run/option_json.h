// Options as JSON, for the pages of the browser.
#pragma once

#include "kedge/files/json.h"
#include "kedge/run/option_text.h"

namespace kedge {

/// Returns the options as {"name": value, ...}.
Json options_json(const Options& options);

}  // namespace kedge
