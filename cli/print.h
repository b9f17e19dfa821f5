// Tables for people.
#pragma once

#include <string>

#include "kedge/run/evaluate.h"
#include "kedge/study/compare.h"
#include "kedge/tasks/bundled.h"
#include "kedge/tasks/demonstrate.h"

namespace kedge::cli {

/// Prints to stdout at once. Work under way does not end where that fails (a full disk, a pipe that nobody reads any more):
/// the end of the program says it.
void say(const std::string& text);

/// Prints a line to stderr, "kedge: warning: " and the text, which moves no cursor. Where that fails nobody listens.
void print_warning(const std::string& text);

/// The same with "kedge: error: ".
void print_error(const std::string& text);

/// Returns the results of an evaluation as lines for people, and as JSON.
/// @param without observations that the policy did not see
std::string evaluation_text(const Task& task, const Evaluation& evaluation);
std::string evaluation_json(const Task& task, const Evaluation& evaluation, std::uint64_t seed, bool deterministic,
                            const std::vector<std::string>& without);

/// Returns a description of the task: sizes, limits, start, cost terms with their steps, success.
std::string task_text(const Task& task);

/// Returns the cost of a demonstration, term by term.
std::string demonstration_text(const TaskFile& file, const DemonstrationReport& report);

/// Returns the table of `kedge compare`.
std::string comparison_text(const Comparison& comparison);

}  // namespace kedge::cli
