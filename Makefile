# All of Tollbridge's commands; `make` lists them.
#
# PostgreSQL and RabbitMQ are those named in DATABASE_URL and AMQP_URL if set, else private ones
# that deploy/local/servers.py starts, and ends again with the command they were started for.

SERVERS := python3 deploy/local/servers.py
INSTALL := python3 deploy/local/install.py
TARGET := $(or $(CARGO_TARGET_DIR),target)

CARGO_DENY := 0.20.2
SQLX_CLI := 0.9.0

# The compiler checks SQL against the committed .sqlx/, so that no build needs a database.
export SQLX_OFFLINE := true

.DEFAULT_GOAL := help
.PHONY: help demo up stop test bench docs fmt lint deny sqlx-prepare sqlx-check tools ci build
.PHONY: install-servers install-bench install-tests prove-install

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install-servers build ## send signed webhooks through the whole system, show what they change, end everything
	$(SERVERS) run --name demo -- $(TARGET)/debug/demo

up: install-servers build ## start servers, ingest and worker and leave them running
	$(SERVERS) run --name dev --keep -- $(TARGET)/debug/demo --up

stop: ## end all that was left running; the data stays
	$(SERVERS) stop --all

test: install-tests build ## run every test
	$(SERVERS) run --name test -- python3 deploy/local/test_report.py cargo test --workspace --no-fail-fast

bench: install-bench ## measure throughput and latency (BENCH=--pages: the console; BENCH='--reconcile 100000'): a table, and target/bench/report.json
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
sqlx-check: tools install-servers ## check that .sqlx/ is what the queries and migrations say
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

install-servers: ## install PostgreSQL and RabbitMQ, unless they or Docker are here; demo, up and bench do it too
install-bench: ## install what the benchmark needs beyond that
install-tests: ## install everything that the tests need (deploy/local/wanted.py lists it); test does it too
install-servers install-bench install-tests:
	@$(INSTALL) get $(@:install-%=%)

prove-install: ## prove in a throw-away root that a machine with nothing installed gets everything
	@python3 deploy/local/prove_install.py

ci: ## everything a change must pass
	bash .ci/run

# Everything, always: a part of the workspace has other features, and would be compiled again.
build:
	cargo build --workspace --all-targets
