#include "kedge/pages/replay.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "kedge/core/errors.h"
#include "kedge/files/atomic_file.h"
#include "kedge/pages/embedded.h"
#include "kedge/pages/film.h"
#include "print.h"
#include "verbs.h"

namespace kedge::cli {

namespace {

struct Arguments {
  std::string source, task, page, strip, video, iterations, camera;
  int frames = 6, rollouts = 4, threads = 1;
  std::uint64_t seed = 1;
  std::vector<std::string> set;
  bool deterministic = false, noise = false, play = false;
};

void write_page(const Arguments& a, const Replay& made) {
  const std::string html = replay_page(made, a.play);
  if (a.page == "-") {
    std::fwrite(html.data(), 1, html.size(), stdout);
    return;
  }
  write_file(a.page, html, Durability::process);
  if (a.play)
    for (const std::string& warning : made.subject.task.warnings) print_warning(warning);
  const std::size_t policies = made.policies.size();
  fmt::print("{}: {} polic{} of {}, {} rollouts each, {:.1f} MB; open it in a browser\n", a.page, policies,
             policies == 1 ? "y" : "ies", a.source, made.shown, static_cast<double>(html.size()) / 1e6);
}

int replay(const Arguments& a) {
  ReplayOptions options;
  options.iterations = a.iterations;
  options.shown = a.rollouts;
  options.camera = a.camera;
  options.seed = a.seed;
  options.deterministic = a.deterministic;
  options.noise = a.noise;
  options.threads = a.threads;
  if (a.page.empty() && a.strip.empty() && a.video.empty())
    throw InputError("nothing to write: give -o FILE.html, --png FILE.png or --mp4 FILE.mp4");
  if (!a.page.empty()) page("replay.html");  // before work starts: are there pages?
  std::vector<std::string> outputs;
  for (const std::string& file : {a.page == "-" ? "" : a.page, a.strip, a.video})
    if (!file.empty()) outputs.push_back(file);
  require_outputs(outputs);
  for (const std::string& file : outputs) require_output(file, find_policy(a.source));
  const Subject subject = find_subject(a.source, a.task, a.set);
  if (a.play) require_playable(subject.task);
  const Replay made = make_replay(subject, options);
  if (!a.page.empty()) write_page(a, made);
  if (!a.strip.empty()) {
    write_file(a.strip, png_bytes(film_strip(made, a.frames)), Durability::process);
    fmt::print("{}: {} frames of the first rollout\n", a.strip, a.frames);
  }
  if (!a.video.empty()) {
    write_video(a.video, made);
    fmt::print("{}: video of the first rollout\n", a.video);
  }
  return kDone;
}

}  // namespace

std::function<int()> add_replay(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  add_subject(app, a->source);
  app.add_option("-o,--output", a->page, "write a page for the browser; -: to standard output")->type_name("FILE.html");
  app.add_option("--png", a->strip, "write a film strip of one rollout")->type_name("FILE.png");
  add_whole_number(app, "--frames", a->frames, 1, 64, "moments in the film strip");
  app.add_option("--mp4", a->video, "write a video of one rollout (needs ffmpeg)")->type_name("FILE.mp4");
  app.add_option("--iterations", a->iterations,
                 "policies to show: first, best, last, all, or numbers, separated by commas (default: some of all)")
      ->type_name("LIST");
  app.add_option("--camera", a->camera,
                 "camera of the model to look from (default: the first that sees the motion, else one that does)")
      ->type_name("NAME");
  add_whole_number(app, "--rollouts", a->rollouts, 1, 1000, "rollouts to show of each policy");
  add_seed(app, a->seed);
  add_noise(app, a->deterministic, a->noise);
  app.add_flag("--play", a->play, "with MuJoCo inside: the policy runs in the browser, and can be pushed");
  add_other_task(app, a->task);
  add_set(app, a->set);
  add_threads(app, a->threads);
  return [a] { return replay(*a); };
}

}  // namespace kedge::cli
