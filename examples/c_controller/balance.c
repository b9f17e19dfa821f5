/* Two poles on a cart, balanced by a controller that kedge learned, in plain C with MuJoCo: README.md. */
#include <mujoco/mujoco.h>
#include <stdio.h>

#include "double_pendulum.h"

int main(int argc, char **argv) {
  char error[300] = "usage: balance MODEL.xml";
  mjModel *model = argc == 2 ? mj_loadXML(argv[1], 0, error, sizeof error) : 0;
  if (!model) return fprintf(stderr, "%s\n", error), 1;
  mjData *data = mj_makeData(model);
  data->qpos[1] = 0.04; /* the lower pole leans, rad */
  for (int t = 0; t < DOUBLE_PENDULUM_STEPS; ++t) {
    double s[6] = {data->qpos[0], data->qpos[1], data->qpos[2], data->qvel[0], data->qvel[1], data->qvel[2]};
    double_pendulum_action(t, s, data->ctrl);
    for (int i = 0; i < 3; ++i) mj_step(model, data); /* a control step of 0.03 s */
    if (t % 50 == 49) printf("%5.2f s: the poles lean %8.5f and %8.5f rad\n", data->time, data->qpos[1], data->qpos[2]);
  }
  return 0;
}
