// A rollout as pictures, without a display: a film strip, a video.
#pragma once

#include <filesystem>

#include "kedge/pages/picture.h"
#include "kedge/pages/replay.h"

namespace kedge {

/// Returns `frames` moments of the first rollout of the replay's last policy, from first to last next to each other,
/// each with its time, under a line that names task, policy, return and success. More than eight are in several rows.
/// @param frames  in [1, 64]  @param side  pixels of a frame
Image film_strip(const Replay& replay, int frames, int side = 240);

/// Writes the same rollout as a video, in real time: H.264 in MP4, 30 frames a second, made by ffmpeg.
/// @throws SystemError if there is no ffmpeg, or it fails
void write_video(const std::filesystem::path& file, const Replay& replay, int width = 640, int height = 480);

}  // namespace kedge
