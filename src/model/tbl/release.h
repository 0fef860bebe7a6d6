/* The process types "release" and "postdeploy" run once. */
NOUN(release, "An image with the configuration it runs with; never changed")
KEY(release, "/apps/%s/releases/%010" PRId64, (const char *app, int64_t number), app, number)
NEEDED(release, INT, number, "from 1, one more with each release of the app")
FIELD(release, STRING, created, "when it was made")
FIELD(release, STRING, by, "the user who made it")
FIELD(release, STRING, description, "what made it, such as Deploy 1a2b3c4, Rollback to v3, Set A, B")
NEEDED(release, STRING, image, "digest of the image's manifest, sha256:…")
FIELD(release, STRING, commit, "empty unless it came from git")
FIELD(release, INT, config, "number of the config revision; 0: none")
LIST(release, process, processes, "its process types")
WRITER(api, WRITES)     /* changes of config, rollbacks */
WRITER(builder, WRITES) /* deploys */
END(release)
