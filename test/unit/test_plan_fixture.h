/* Scenes of the two plans, in words:
 *
 *   desired   "v2 g0 web=2"            release, generation, formation
 *   processes "web=1 worker=0"         of every release, with its default quantity
 *   releases  "v1 live, v2 starting"
 *   rollouts  "v1 live g0 web=1, v2 starting g0 web=2 web:1"    how many are asked for and, after a
 *             colon, are ready; then what else the status says:
 *             type/N the phase ended with N · failed it has failed · stale the status is of another
 *             generation · unknown its release isn't known
 */
#ifndef TEST_PLAN_FIXTURE_H
#define TEST_PLAN_FIXTURE_H

#include "cm.h"

#include "model/current.h"
#include "model/rollout.h"

enum { SCENE_MAX = 16 };

struct scene_models {
    struct desired desired;
    struct release releases[SCENE_MAX];
    struct release_seen seen[SCENE_MAX];
    size_t n_releases;
    struct rollout rollouts[SCENE_MAX];
    struct rollout_status statuses[SCENE_MAX];
    struct rollout_seen rolled[SCENE_MAX];
    size_t n_rollouts;
};

struct str next_word(struct str *rest, char sep); /* the next one that isn't empty; len 0: none */
int64_t word_number(struct str s);
char *word_text(struct str s);
bool word_is(struct str s, const char *word);
int state_named(struct str name, const char *const *names);
void parse_processes(const char *words, struct release *r); /* NULL: web=1 */

/* NULL for what there is none of. Released by scene_release. */
void scene_parse(const char *desired, const char *processes, const char *releases,
                 const char *rollouts, struct scene_models *ret);
void scene_release(struct scene_models *s);
/* "v2 starting g0 web=2" */
void say_rollout(const struct rollout *r, struct buf *b);

#endif
