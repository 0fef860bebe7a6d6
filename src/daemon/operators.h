/* The one table of operators: OPERATOR(name, main, runs_as, what). runs_as: ROOT, or USER for the
 * user of the settings, which may bind ports below 1024 all the same. Each main returns the exit
 * status of its process. */
OPERATOR(run, run_main, ROOT,
         "turns releases into instances: starts, probes, drains and stops them")
OPERATOR(gateway, gateway_main, USER, "routes requests to instances by HAProxy")
OPERATOR(builder, builder_main, ROOT, "makes images and releases of what is pushed")
OPERATOR(api, api_main, USER, "HTTP API and git endpoint")
