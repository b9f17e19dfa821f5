#include "kedge/pages/embedded.h"

#include <fmt/format.h>

#include "kedge/core/errors.h"

#ifdef KEDGE_HAS_PAGES
// viewer/CMakeLists.txt
#define KEDGE_PAGE(symbol) extern "C" const char kedge_page_##symbol[], kedge_page_##symbol##_end[]
KEDGE_PAGE(replay_html);
KEDGE_PAGE(live_html);
KEDGE_PAGE(compare_html);
KEDGE_PAGE(mujoco_js);
KEDGE_PAGE(mujoco_wasm_gz);
#undef KEDGE_PAGE
#endif

namespace kedge {

std::string_view page(std::string_view name) {
#ifdef KEDGE_HAS_PAGES
  const auto bytes = [](const char* begin, const char* end) {
    return std::string_view(begin, static_cast<std::size_t>(end - begin));
  };
  if (name == "replay.html") return bytes(kedge_page_replay_html, kedge_page_replay_html_end);
  if (name == "live.html") return bytes(kedge_page_live_html, kedge_page_live_html_end);
  if (name == "compare.html") return bytes(kedge_page_compare_html, kedge_page_compare_html_end);
  if (name == "mujoco.js") return bytes(kedge_page_mujoco_js, kedge_page_mujoco_js_end);
  if (name == "mujoco.wasm.gz") return bytes(kedge_page_mujoco_wasm_gz, kedge_page_mujoco_wasm_gz_end);
  throw SystemError(fmt::format("there is no page \"{}\"", name));
#else
  throw InputError(
      fmt::format("this kedge was built without its browser pages ({}): install Node.js 18 or newer and the npm "
                  "packages (scripts/setup.sh pages), and build again",
                  name));
#endif
}

std::string page_with(std::string_view page, const std::vector<PagePart>& parts) {
  constexpr std::string_view place = "<!-- data -->";
  const std::size_t at = page.find(place);
  if (at == std::string_view::npos) throw SystemError("this page has no place for data");
  std::string text(page.substr(0, at));
  for (const PagePart& part : parts)
    text += fmt::format("<script id=\"{}\" type=\"{}\">{}</script>\n", part.id, part.type, part.text);
  return text.append(page.substr(at + place.size()));
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned value = 0;
    for (std::size_t j = 0; j < 3; ++j)
      value = value << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) text += i + j <= bytes.size() ? digits[value >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

}  // namespace kedge
