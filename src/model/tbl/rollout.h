ENUM(rollout_phase)
VALUE(ROLLOUT_PREPARING, "preparing", "its release phase runs")
VALUE(ROLLOUT_STARTING, "starting", "its instances are to get ready; it fails if one can't")
VALUE(ROLLOUT_LIVE, "live", "serves: its instances are never given up")
VALUE(ROLLOUT_GOING, "going", "failed: nothing of it may stay")
END_ENUM(rollout_phase)

/* An app that was deployed always has one of its desired release, even if that failed; what belongs to a release without
 * one must go. */
NOUN(rollout, "That a release runs, how far it is and how much of it")
KEY(rollout, "/rollouts/%s/%010" PRId64, (const char *app, int64_t number), app, number)
NEEDED(rollout, INT, release, "number of the release")
FIELD(rollout, INT, generation, "which restart of the app its instances are of")
CHOICE(rollout, rollout_phase, phase, "how far it is")
FIELD(rollout, COUNTS, processes, "process type to number of instances; the types release and postdeploy run once")
WRITER(release, WRITES)
WRITER(api, DELETES) /* of a destroyed app */
END(rollout)
