// Prints what compile has to know of package.json, as assignments for the shell.
const fs = require("fs");
const [build] = process.argv.slice(2);
const p = JSON.parse(fs.readFileSync(build + "/package.json", "utf8"));
const scripts = p.scripts || {};
const any = (o) => Object.keys(o || {}).length > 0;
const facts = {
    lockfile: ["package-lock.json", "npm-shrinkwrap.json"].find((f) => fs.existsSync(build + "/" + f)),
    has_dependencies: any(p.dependencies) || any(p.devDependencies) || any(p.optionalDependencies) ||
        any(p.peerDependencies) || any(p.workspaces),
    has_dev: any(p.devDependencies),
    has_install: ["preinstall", "install", "postinstall", "prepare"].some((n) => scripts[n]),
    has_prebuild: Boolean(scripts["heroku-prebuild"]),
    build_script: ["heroku-postbuild", "build"].find((n) => scripts[n]),
};
for (const [name, value] of Object.entries(facts))
    console.log(`${name}=${value === true ? "yes" : value || ""}`);
