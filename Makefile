# All commands of Tollbridge; `make` lists them.
#
# They use PostgreSQL and RabbitMQ at DATABASE_URL and AMQP_URL, if set. Otherwise deploy/local/servers.py
# starts private servers, and stops them with the command that needed them.

SERVERS := python3 deploy/local/servers.py
INSTALL := python3 deploy/local/install.py
TARGET := $(or $(CARGO_TARGET_DIR),target)

CARGO_DENY := 0.20.2
SQLX_CLI := 0.9.0

# The compiler checks SQL against the committed .sqlx/, so a build needs no database.
export SQLX_OFFLINE := true

.DEFAULT_GOAL := help
.PHONY: help demo up stop test bench docs fmt lint deny sqlx-prepare sqlx-check tools ci build
.PHONY: install-servers install-bench install-tests prove-install

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install-servers build ## show the whole system at work with signed webhooks, then end it
	$(SERVERS) run --name demo -- $(TARGET)/debug/demo

up: install-servers build ## start servers, ingest and worker and leave them running
	$(SERVERS) run --name dev --keep -- $(TARGET)/debug/demo --up

stop: ## stop everything that was left running; the data stays
	$(SERVERS) stop --all

test: install-tests build ## run every test
	$(SERVERS) run --name test -- python3 deploy/local/test_report.py cargo test --workspace --no-fail-fast

bench: install-bench ## measure the pair: a table, and target/bench/report.json (BENCH=--pages: the console, pages.json; BENCH='--reconcile 100000': reconcile.json)
	cargo build --release -p ingest -p worker -p tests --bins
	$(SERVERS) run --name bench -- cargo run --release --quiet -p tests --bin bench -- $(BENCH)

docs: ## write docs/configure.md and docs/metrics.md from the code
	UPDATE_DOCS=1 cargo test -p tests --test architecture generated_docs

fmt: ## format the code
	cargo fmt --all

lint: ## check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

deny: tools ## check licences, sources and versions of all dependencies
	cargo deny check --hide-inclusion-graph bans licenses sources

sqlx-prepare: tools install-servers ## renew .sqlx/ after a change to a query or a migration
sqlx-check: tools install-servers ## check that .sqlx/ fits the queries and migrations
sqlx-check: CHECK := --check
sqlx-prepare sqlx-check:
	SQLX_OFFLINE=false $(SERVERS) run --name prepare -- sh -ec ' \
		cargo sqlx migrate run --source migrations; \
		cargo sqlx prepare --workspace $(CHECK) -- --all-targets'

tools: ## install cargo-deny and sqlx-cli at the versions pinned here
	@cargo deny --version 2>/dev/null | grep -qx 'cargo-deny $(CARGO_DENY)' || \
		cargo install --locked --debug cargo-deny@$(CARGO_DENY)
	@cargo sqlx --version 2>/dev/null | grep -qx 'sqlx-cli-sqlx $(SQLX_CLI)' || \
		cargo install --locked --debug sqlx-cli@$(SQLX_CLI) --no-default-features --features postgres

install-servers: ## install PostgreSQL and RabbitMQ if they and Docker are missing; demo, up and bench do it too
install-bench: ## install the tools for the benchmark; bench does it too
install-tests: ## install all tools for the tests (deploy/local/wanted.py lists them); test does it too
install-servers install-bench install-tests:
	@$(INSTALL) get $(@:install-%=%)

prove-install: ## prove in a throw-away root that the installer works on a machine without the tools
	@python3 deploy/local/prove_install.py

ci: ## run all checks that a change must pass
	bash .ci/run

# Always the whole workspace: a part of it has other features, and would be compiled again.
build:
	cargo build --workspace --all-targets
