//go:build linux && !oneshot_noproc

package main

import "github.com/gomanhole/oneshot/cmd/oneshot/internal/manual"

// subcommands returns all subcommands, in the order in which help lists them.
func subcommands() []*subcommand {
	return []*subcommand{
		{name: "ps", args: "[-json]", summary: "list the Go processes and their manholes",
			help: psHelp, flags: new(psFlags).define, run: runPS},
		{name: "signals", args: "[-json] PID|MASK [PID|MASK]", summary: "show signal masks as names, or compare two",
			help: signalsHelp, flags: jsonToo(noFlags), operand: manual.Process, run: asLines("signals", runSignals)},
		{name: "pprof", args: "[flags] PID PROFILE [ARG...]", summary: "open a profile in go tool pprof",
			help: pprofHelp, flags: new(connectFlags).define, operand: manual.Process, run: runPprof},
		{name: "web", args: "[flags] PID [PROFILE]", summary: "show a profile in the browser",
			help: webHelp, flags: new(webFlags).define, operand: manual.Process, run: runWeb},
		{name: "serve", args: "[flags] PID", summary: "serve the profiles at the paths of net/http/pprof",
			help: serveHelp, flags: new(serveFlags).define, operand: manual.Process, run: runServe},
		{name: "top", args: "[flags] PID", summary: "show a process on a screen that is drawn every second",
			help: topHelp, flags: new(topFlags).define, operand: manual.Process, run: runTop},
		{name: "watch", args: "-when CONDITION [flags] PID", summary: "wait until a condition holds, then write what the process does",
			help: watchHelp, flags: new(watchFlags).define, operand: manual.Process, run: runWatch},
		{name: "bundle", args: "[flags] PID", summary: "write everything about a process into one archive",
			help: bundleHelp, flags: new(bundleFlags).define, operand: manual.Process, run: runBundle},
		{name: "diff", args: "[-json] A B [C...]", summary: "compare dumps or processes: what grew, or which is the odd one out",
			help: diffHelp, flags: new(diffFlags).define, operand: manual.Process, run: runDiff},
		{name: "report", args: "[flags] BUNDLE|PID", summary: "make one HTML page of a bundle or a process",
			help: reportHelp, flags: new(reportFlags).define, operand: manual.File, run: runReport},
		{name: "core", args: "FILE [EXECUTABLE] [COMMAND]", summary: "show the goroutines in a core file",
			help: coreHelp, flags: noFlags, operand: manual.File, run: runCore},
		{name: "clean", args: "[-n] [-v] [-json] [DIR]", summary: "remove sockets without a listener",
			help: cleanHelp, flags: jsonToo(new(cleaner).define), operand: manual.Folder, run: asLines("clean", runClean)},
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
	return []string{"connect", "ps", "signals", "pprof", "web", "serve", "top", "watch", "bundle", "diff", "report", "core", "clean", "completion", "man", "version", "help"}
}

// missing are the commands that this system cannot have, with what to do instead.
var missing = map[string]string{}
