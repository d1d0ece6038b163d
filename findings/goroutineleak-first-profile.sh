#!/usr/bin/env bash
# Go 1.27.4, runtime/pprof: the first "goroutineleak" profile after a "goroutine" profile may be empty.
#
# A program has 30 goroutines that are blocked for ever in a send on channels that nothing else refers to. It takes a
# goroutine profile until that shows all 30 in the send, then three goroutineleak profiles in a row. One would expect
# 30, 30 and 30. In about 2 of 100 runs (linux/amd64, 2 CPUs) the first one has fewer, mostly none: "0 30 30". The
# second and the third have always had 30. With a garbage collection between the two kinds of profile, or a pause of 20 ms,
# 600 of 600 runs had 30 each time. So whoever wants to know the leaks of a program takes the profile twice.
#
# The script fails if the first profile of 5,000 runs is never incomplete, or if a later one is.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'MOD'
module example.com/leak

go 1.27
MOD
cat > main.go <<'GO'
package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime/pprof"
)

//go:noinline
func quote() {
	prices := make(chan int)
	go func() { prices <- 1 }()
}

func main() {
	for range 30 {
		quote()
	}
	var text bytes.Buffer
	for !bytes.Contains(text.Bytes(), []byte("\n30 @")) {
		text.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
			panic(err)
		}
	}
	leaks := pprof.Lookup("goroutineleak")
	for range 3 {
		if err := leaks.WriteTo(io.Discard, 0); err != nil {
			panic(err)
		}
		fmt.Print(leaks.Count(), " ")
	}
	fmt.Println()
}
GO
export GOTOOLCHAIN=go1.27.4
go version
go build -o leak .
for ((run = 0; run < 5000; run++)); do ./leak; done | sort | uniq -c | tee runs
awk '$3 != 30 || $4 != 30 { later = 1 } $2 != 30 { first = 1 } END { exit !(first && !later) }' runs || {
  echo "changed: expected incomplete first profiles, and complete second and third ones"
  exit 1
}
echo "as described: the first profile was incomplete in some runs"
