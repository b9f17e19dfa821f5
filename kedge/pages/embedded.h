// The browser pages that are compiled into kedge (viewer/), and functions that put data into them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kedge {

/// Returns the bytes of "replay.html", "live.html", "compare.html", or of the simulator inside a replay page: "mujoco.js",
/// "mujoco.wasm.gz".
/// @throws InputError if this kedge was built without its pages
std::string_view page(std::string_view name);

/// One element of a page: `<script id="..." type="...">text</script>`.
struct PagePart {
  std::string id;
  std::string type;  ///< "application/json", "text/plain" (read by viewer/src/data.ts), or "module": a program
  std::string text;
};

/// Returns the page with the parts inserted, in their order, before its own program.
/// @throws SystemError if the page has no place for them
std::string page_with(std::string_view page, const std::vector<PagePart>& parts);

/// Returns bytes in base64 (RFC 4648, padded).
std::string base64(std::string_view bytes);

}  // namespace kedge
