# What is done often. `.ci/run` is what a change must pass.
GO ?= go
TOOL = $(GO) tool -modfile=$(CURDIR)/tools/go.mod
VERSION ?= dev

.DEFAULT_GOAL := help
.PHONY: help demo run generate check-generated config-table lint vet test race browser bench image clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: ## the console on a simulated tenant: nothing is revoked
	$(GO) run ./cmd/server demo

run: ## serve the console, configured by EVICT_* variables
	$(GO) run ./cmd/server serve

generate: ## make the Go code of the templ files
	cd web/templates && $(TOOL) templ generate

check-generated: ## fail when generated code is not up to date
	.ci/generated

config-table: ## write the configuration table of the README anew
	$(GO) test ./internal/config -run TestTheReadmeShowsTheConfiguration -update

lint: ## golangci-lint; it keeps the arrows between packages, too
	$(TOOL) golangci-lint run ./...

vet: ## go vet, the benchmarks included
	$(GO) vet -tags bench ./...

test: ## all tests; those of PostgreSQL and Chromium are skipped where there is none
	$(GO) test ./...

race: ## all tests but those in a browser, with the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -short ./...

browser: ## the tests that drive Chromium; fails where there is none
	EVICT_TEST_REQUIRE=browser $(GO) test -count=1 ./web/... ./internal/app/...

bench: ## the figures of docs/benchmarks.md; leave the machine alone meanwhile
	$(GO) test -tags bench ./internal/app -run '^TestSpeed' -v -timeout 60m
	$(GO) test -tags bench ./internal/store -run '^TestSpeed' -v -timeout 60m
	$(GO) test ./internal/store ./internal/queue ./internal/audit -run '^$$' -bench . -timeout 60m

image: ## the container image, without the simulator; VERSION names it
	docker build --build-arg VERSION=$(VERSION) -t evict:$(VERSION) .

clean: ## remove what was built; data stays
	rm -rf bin
