# npm: what it installs and removes.
install() {
    if [ -n "$(fact node_locked)" ]; then
        step "Installing dependencies (npm ci)"
        npm ci --include=dev --prefer-offline 2>&1 | indent
    else
        step "Installing dependencies (npm install; a package-lock.json would make this repeatable)"
        npm install --include=dev --no-package-lock --prefer-offline 2>&1 | indent
    fi
}
# --omit is what it is called since npm 7.
prune() { npm prune --omit=dev --production --ignore-scripts --loglevel=error 2>&1 | indent; }
