/* How long the exported controller takes, in processor time: median and worst of a million calls. README.md */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "double_pendulum.h"

enum { CALLS = 1000000 };
static double taken[CALLS], clock_alone[CALLS]; /* ns */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(void) {
  double s[DOUBLE_PENDULUM_OBSERVATIONS], a[DOUBLE_PENDULUM_ACTIONS], sum = 0.0;
  for (int i = 0; i < CALLS; ++i) {
    for (int j = 0; j < DOUBLE_PENDULUM_OBSERVATIONS; ++j) s[j] = 0.001 * ((i * 7 + j * 13) % 101 - 50);
    const double before = now(), start = now();
    if (double_pendulum_action(i % 400, s, a)) return 1;
    taken[i] = now() - start;
    clock_alone[i] = start - before;
    sum += a[0];
  }
  qsort(taken, CALLS, sizeof taken[0], by_size);
  qsort(clock_alone, CALLS, sizeof clock_alone[0], by_size);
  printf("with the clock: median %.0f ns, 99.9 %% below %.0f ns, worst %.0f ns\n", taken[CALLS / 2],
         taken[CALLS - CALLS / 1000], taken[CALLS - 1]);
  printf("the clock alone: median %.0f ns, 99.9 %% below %.0f ns, worst %.0f ns (sum of actions %g)\n",
         clock_alone[CALLS / 2], clock_alone[CALLS - CALLS / 1000], clock_alone[CALLS - 1], sum);
  return 0;
}
