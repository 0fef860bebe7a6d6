# Yarn, the classic one and the one since version 2: what they install and remove.
export YARN_CACHE_FOLDER="$cache/yarn" YARN_GLOBAL_FOLDER="$cache/yarn-global" YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_GLOBAL_CACHE=true
version=$(yarn --version)
if [ "${version%%.*}" = 1 ]; then
    install() {
        step "Installing dependencies (yarn $version, --frozen-lockfile)"
        yarn install --frozen-lockfile --production=false --non-interactive --prefer-offline 2>&1 | indent
    }
    prune() { yarn install --frozen-lockfile --production --ignore-scripts --non-interactive --prefer-offline 2>&1 | indent; }
else
    # node runs the app as it is: where the project does not say how, packages lie in node_modules.
    grep -qs '^nodeLinker:' .yarnrc.yml || export YARN_NODE_LINKER=node-modules
    install() {
        step "Installing dependencies (yarn $version, --immutable)"
        yarn install --immutable 2>&1 | indent
    }
    prune() {
        yarn workspaces focus --all --production 2>&1 | indent ||
            warning "this Yarn can't remove them (it needs the plugin workspace-tools); they stay"
    }
fi
