// What the program says of its verbs and options to shells and to readers of manuals.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>
#include <vector>

namespace kedge::cli {

/// Returns what may stand in place of the last word of a command line: a line for each word, "--seed\tof all random numbers", and
/// ":files" or ":folders" where paths may. The scripts in cli/completion ask for it.
/// @param words  those after "kedge", up to the cursor; the last may be empty
std::string completions(const CLI::App& kedge, std::vector<std::string> words);

/// Returns the manual page kedge(1) in the macros of man(7).
std::string manual_page(const CLI::App& kedge, const std::string& version);

}  // namespace kedge::cli
