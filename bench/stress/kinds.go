//go:build linux

package main

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// kind is a kind of program.
type kind struct {
	name    string
	options func(o *oneshot.Options) // changes the usual options
	begin   func(p *program)         // starts the program's work
	ending  func(p *program)         // waits for the end; nil if the program does not handle TERM, INT and HUP

	fromEnv  bool // its options come from the variable ONESHOT
	noPrompt bool // its Handler is Exec
	abstract bool // its socket is not a file
	trigger  bool // it has a TriggerFile
	again    bool // it can execute itself in place
	unlogged bool // its standard error has no log, and maybe no dump either

	// willful is true if the program itself may ignore a signal, or end a session
	// early.
	willful bool
}

// kinds contains all kinds.
var kinds = []kind{
	{name: "plain"},
	{name: "handler", ending: (*program).untilSignal},
	{name: "context", ending: (*program).untilContext},
	{name: "wait", options: noReceiver, ending: (*program).untilWait},
	{name: "handle", options: noReceiver, ending: (*program).untilHandle},
	{name: "reraise", options: terminate(oneshot.TerminateReraise)},
	{name: "reraise-handler", options: terminate(oneshot.TerminateReraise), ending: (*program).untilSignal},
	{name: "leave-handler", options: terminate(oneshot.TerminateLeave), ending: (*program).untilSignal},
	{name: "env", fromEnv: true},
	{name: "busy", begin: (*program).compute, ending: (*program).untilSignal},
	{name: "garbage", begin: (*program).litter},
	{name: "goroutines", begin: (*program).park},
	{name: "children", begin: (*program).haveChildren, ending: (*program).untilContext},
	{name: "again", again: true},
	{name: "activate", options: func(o *oneshot.Options) { o.ActivateOn = syscall.SIGUSR1 }, ending: (*program).untilSignal},
	{name: "trigger", trigger: true},
	{name: "trigger-wait", trigger: true, options: noReceiver, ending: (*program).untilWait},
	{name: "abstract", abstract: true, ending: (*program).untilSignal},
	{name: "exec", noPrompt: true, options: func(o *oneshot.Options) { o.Handler = oneshot.Exec{} }},
	{name: "stuck-log", unlogged: true, ending: (*program).untilSignal, options: func(o *oneshot.Options) {
		o.Logger = slog.New(slog.NewTextHandler(stuck{}, nil))
	}},
	{name: "stderr", unlogged: true, options: func(o *oneshot.Options) {
		o.RedirectStderr, o.Logger = true, slog.New(slog.DiscardHandler)
	}},
	{name: "short", willful: true, ending: (*program).untilContext, options: func(o *oneshot.Options) {
		o.ConnectTimeout = 3 * time.Millisecond
	}},
	{name: "churn", willful: true, begin: (*program).churn, ending: (*program).untilSignal},
	{name: "churn-wait", willful: true, begin: (*program).churn, options: noReceiver, ending: (*program).untilSignal},
}

func noReceiver(o *oneshot.Options) { o.NoReceiver = true }

func terminate(policy oneshot.TerminatePolicy) func(*oneshot.Options) {
	return func(o *oneshot.Options) { o.Terminate = policy }
}

// stuck is a log whose writes never return.
type stuck struct{}

func (stuck) Write([]byte) (int, error) { select {} }

func kindNamed(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}
