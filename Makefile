# Tasks of authentik-graphql. `make` lists them.
GO ?= go

.PHONY: help gen test test-long race lint bench memory faults soak attacks packages verify fuzz playground build dist

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the binary into the current folder
	CGO_ENABLED=0 $(GO) build -trimpath -o authentik-graphql .

dist: ## build reproducible binaries for release into dist/, with SHA256SUMS (PLATFORMS="linux/amd64 ...")
	@scripts/dist $(PLATFORMS)

gen: ## generate the executor and the models from schema.graphqls
	$(GO) generate ./graph

test: ## run the quick tests, and list those that were skipped and why
	@scripts/test ./...
	@cd deploy && ../scripts/test ./...

test-long: ## run all tests, the long ones as well, and list those that were skipped and why
	@LONG=1 scripts/test -count=1 -timeout 20m ./...

race: ## run the tests with the race detector, except those of the built binary, which it does not watch
	$(GO) test -race -timeout 15m $$($(GO) list ./... | grep -vE '^authentik-graphql/(bench|docs|test/(attacks|faults|interop))')

lint: ## check the formatting, vet, and run staticcheck
	@files=$$(find . -name node_modules -prune -o -name '*.go' -exec gofmt -l {} +) && test -z "$$files" || { echo "not formatted: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck $$($(GO) list ./... | grep -v /graph/generated)
	@staticcheck=$$($(GO) tool -n staticcheck) && cd deploy && $(GO) vet ./... && "$$staticcheck" ./...

bench: ## compare the CPU per request with a bare handler's (ARGS="-run hot"; ARGS=-h lists flags)
	@$(GO) run ./bench $(ARGS)

memory: ## ask the built program for IDS (1000000) codes and watch its memory; takes minutes
	LONG=1 $(GO) test -run TestManyIDs -count=1 -v -timeout 60m ./test/e2e -args -ids $${IDS:-1000000} -ids-memory 64MiB

faults: ## print what clients see while things break (UPDATE=1 writes it into docs/faults.md)
	@cd test/faults && LONG=1 $(GO) test -count=1 -timeout 20m -run '^Test(Faults|Stampede)$$' -args -full $${UPDATE:+-update}

soak: ## break one thing after the other for SOAK (20m) under a mixed load (SEED=... repeats an order)
	@cd test/faults && $(GO) test -count=1 -timeout 0 -run '^TestSoak$$' -args -soak $${SOAK:-20m} -seed $${SEED:-0}

attacks: ## attack the built service, many at a time, and print the outcome
	@cd test/attacks && $(GO) test -count=1 -timeout 20m -args -full

fuzz: ## run every fuzz target for FUZZTIME (20s each)
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-20s} $$pkg || exit 1; \
		done; \
	done

packages: ## install the clients and gateways that the tests run from npm
	@for dir in test/interop/*/ examples/federation/*/; do \
		test ! -f $$dir/package.json || npm ci --prefix $$dir --ignore-scripts --no-audit --no-fund --loglevel=error || exit 1; \
	done

verify: ## fail if generated code differs from what gen makes, or go.mod is not tidy
	@scripts/verify

playground: ## fetch the pinned npm files of the Playground again
	graph/playground/refresh.sh
