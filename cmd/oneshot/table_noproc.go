//go:build darwin || freebsd || (linux && oneshot_noproc)

package main

import "github.com/gomanhole/oneshot/cmd/oneshot/internal/manual"

// subcommands returns the subcommands that need no /proc, in the order in which help lists
// them.
func subcommands() []*subcommand {
	return []*subcommand{
		{name: "signals", args: "[-json] MASK [MASK]", summary: "show a signal mask as names, or compare two",
			help: signalsHelp, flags: jsonToo(noFlags), operand: manual.OneWord, run: asLines("signals", runSignals)},
		{name: "pprof", args: "[flags] PID PROFILE [ARG...]", summary: "open a profile in go tool pprof",
			help: pprofHelp, flags: new(connectFlags).define, operand: manual.Process, run: runPprof},
		{name: "diff", args: "[-json] A B [C...]", summary: "compare dumps or processes: what grew, or which is the odd one out",
			help: diffHelp, flags: new(diffFlags).define, operand: manual.Process, run: runDiff},
		{name: "report", args: "[-o FILE.html] BUNDLE", summary: "make one HTML page of a bundle",
			help: reportHelp, flags: new(reportFlags).define, operand: manual.File, run: runReport},
		{name: "completion", args: "bash|zsh|fish", summary: "print the completion script for a shell",
			help: completionHelp, flags: noFlags, operand: manual.OneWord, words: manual.Shells, run: runCompletion},
		{name: "man", args: "[-dir DIR] [COMMAND]", summary: "print a man page, or write all of them",
			help: manHelp, flags: new(manFlags).define, operand: manual.OneWord, words: helpNames()[1:], run: runMan},
		{name: "version", args: "[-json]", summary: "print the version of the client",
			help: versionHelp, flags: jsonToo(noFlags), run: asLines("version", runVersion)},
		{name: "help", args: "[COMMAND]", summary: "describe a command, or list all commands",
			help: helpHelp, flags: noFlags, operand: manual.OneWord, words: helpNames(), run: runHelp},
	}
}

// helpNames returns what oneshot help can describe.
func helpNames() []string {
	return []string{"connect", "signals", "pprof", "diff", "report", "completion", "man", "version", "help"}
}

// missing are the commands that this system cannot have, with what to do instead.
var missing = map[string]string{
	"ps":     "ps needs the /proc of Linux; instead: ls -l /tmp/manhole-* shows the manholes that are open",
	"top":    "top needs the /proc of Linux; instead: oneshot PATH shows the vital signs on the first screen of each session",
	"watch":  "watch needs the /proc of Linux; instead: oneshot PATH stacks, and oneshot diff for what has grown",
	"bundle": "bundle needs the /proc of Linux; instead: oneshot PATH stacks -json > FILE, and oneshot PATH profile NAME > FILE for each profile",
	"web":    "web needs the /proc of Linux; instead: oneshot pprof PATH NAME -- -http :8080",
	"serve":  "serve needs the /proc of Linux; instead: package oneshothttp in the program, or oneshot pprof PATH NAME",
	"core":   "core is for core files of Linux, and runs there; instead: dlv core EXECUTABLE FILE",
	"clean":  "clean needs the /proc of Linux; instead: rm the sockets of processes that have ended; lsof PATH shows who has one open",
}
