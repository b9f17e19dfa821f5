#include <fmt/format.h>

#include <cctype>
#include <sstream>

#include "words.h"

namespace kedge::cli {

namespace {

/// Returns a line of text as roff reads it: no control at its beginning, no hyphens for minus signs.
std::string roff(const std::string& line) {
  std::string text = line.starts_with('.') || line.starts_with('\'') ? "\\&" : "";
  for (const char c : line) text += c == '\\' ? std::string("\\e") : c == '-' ? std::string("\\-") : std::string(1, c);
  return text;
}

/// The names of an option and the kind of its value: "-o, --output FILE".
std::string option_tag(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back(fmt::format("\\fB{}\\fR", roff("-" + name)));
  for (const std::string& name : option.get_lnames()) names.push_back(fmt::format("\\fB{}\\fR", roff("--" + name)));
  const std::string value = option.get_items_expected_max() > 0 ? option.get_type_name() : "";
  if (names.empty()) return fmt::format("\\fI{}\\fR", roff(value));
  return fmt::format("{}{}", fmt::join(names, ", "), value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(value)));
}

/// The end of a help text: sentences, then commands that begin with two spaces.
std::string notes(const std::string& text) {
  std::string page;
  bool example = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  ") != example) page += (example = !example) ? ".PP\n.EX\n" : ".EE\n.PP\n";
    if (line.empty())
      continue;
    else if (line == "Examples:")
      page += ".PP\nExamples:\n";
    else
      page += roff(line) + (example ? "\n" : "\n.br\n");
  }
  return page + (example ? ".EE\n" : "");
}

std::string verb_section(const CLI::App& verb) {
  std::string usage = fmt::format("\\fBkedge {}\\fR", verb.get_name()), options;
  for (const CLI::Option* option : verb.get_options()) {
    if (option->get_positional()) usage += " " + option_tag(*option);
    const std::string preset = option->get_default_str();
    options += fmt::format(".TP\n{}\n{}{}\n", option_tag(*option), roff(option->get_description()),
                           preset.empty() ? "" : fmt::format(" (default: {})", roff(preset)));
  }
  std::string summary = verb.get_description();
  summary.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(summary.front())));
  return fmt::format(".SS {}\n{} [options]\n.PP\n{}.\n{}{}", verb.get_name(), usage, roff(summary), options,
                     notes(verb.get_footer()));
}

}  // namespace

std::string manual_page(const CLI::App& kedge, const std::string& version) {
  std::string page = fmt::format(
      ".TH KEDGE 1 \"kedge {}\" \"\" \"User Commands\"\n"
      ".SH NAME\nkedge \\- trajectory\\-centric policy search for simulated robots\n"
      ".SH SYNOPSIS\n\\fBkedge\\fR \\fIverb\\fR [options]\n.br\n\\fBkedge\\fR \\fIverb\\fR \\fB\\-\\-help\\fR\n.br\n"
      "\\fBkedge \\-\\-version\\fR\n"
      ".SH DESCRIPTION\n{}\n{}.SH VERBS\n",
      roff(version), roff(kedge.get_description()), notes(kedge.get_footer()));
  for (const CLI::App* verb : kedge.get_subcommands({})) page += verb_section(*verb);
  return page +
         ".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n2\nwrong use, or wrong input: one line says what\n.TP\n3\nfailure\n"
         ".TP\n130\ninterrupted by a signal; what can go on was saved\n"
         ".SH ENVIRONMENT\n.TP\n\\fBKEDGE_TASKS\\fR\nfolders of tasks that are looked through first\n"
         ".TP\n\\fBKEDGE_EXPERIMENTS\\fR\nfolder of the bundled figures\n";
}

}  // namespace kedge::cli
