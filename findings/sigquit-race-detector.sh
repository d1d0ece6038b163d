#!/usr/bin/env bash
# Go 1.26.8, linux/amd64: SIGQUIT can end a program of the race detector with SIGSEGV, after thousands of lines, and not
# with the stacks and exit status 2.
#
# It happens if the signal arrives while its thread is in the C code of the race detector, in a program that is linked by
# the system's linker, as every program with C code of its own is. The thread runs on the stack of the system then, but
# belongs to a goroutine. The runtime prints "unknown pc", and a dump of the memory around the stack pointer. It cuts the
# range at the bounds of the goroutine's stack, which the pointer is not in, so the length is negative: "unsafe.Slice: len
# out of range". Printing the stack of that error fails in the same way, again and again, until there is no stack left.
# So whoever looks for the reason of a SIGSEGV in a test with -race should look for the line "SIGQUIT: quit" first.
#
# The script sends SIGQUIT to 20 programs that copy memory, and fails if none of them ends with SIGSEGV.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'MOD'
module example.com/quit

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

func init() { runtime.LockOSThread() } // to the thread that gets the signal

func main() {
	from, to := make([]byte, 64<<20), make([]byte, 64<<20)
	go func() {
		time.Sleep(time.Duration(400+os.Getpid()%200) * time.Millisecond)
		_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
	}()
	for {
		copy(to, from)
	}
}
GO
export GOTOOLCHAIN=go1.26.8 GOWORK=off
go build -race -ldflags=-linkmode=external -o quit .
go version
ulimit -c 0
stacks=0 segv=0
for _ in $(seq 20); do
  status=0
  ./quit 2> stderr || status=$?
  case $status in
  2) stacks=$((stacks + 1)) ;;
  139) segv=$((segv + 1)); grep -q "unsafe.Slice: len out of range" stderr ;;
  *) echo "status $status"; exit 1 ;;
  esac
done 2> /dev/null
echo "with stacks and status 2: $stacks, with SIGSEGV: $segv"
[ "$segv" -gt 0 ]
