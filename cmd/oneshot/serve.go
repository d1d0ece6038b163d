//go:build linux && !oneshot_noproc

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bridge"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/loopback"
)

const serveHelp = `usage: oneshot serve [-http ADDRESS] [-insecure] [flags] PID

Serves the profiles of a process over HTTP, with the paths and parameters of
net/http/pprof, until Ctrl-C or the end of the process. It prints the address, which
every tool for net/http/pprof can use. The process itself opens no port: each request is
one window and one command. After a request, a session waits 20 seconds for the next one.

	oneshot serve 4321
	http://127.0.0.1:41233/3f0c.../debug/pprof/

	go tool pprof http://127.0.0.1:41233/3f0c.../debug/pprof/heap
	curl -o trace 'http://127.0.0.1:41233/3f0c.../debug/pprof/trace?seconds=5'

	-http ADDRESS   the address to listen at; default 127.0.0.1:0, a free port.
	                Without a host it is 127.0.0.1. Give a host such as 0.0.0.0 only
	                if other machines may read and burden the program
	-insecure       no random token in the path: every user of this machine may then
	                ask for profiles. Scrapers with a fixed path need it, unless they
	                have a path prefix

The other flags are those of a session (oneshot help connect).

The paths are /debug/pprof/, profile, trace, cmdline, symbol and the name of each
profile; the parameters are seconds, debug and gc. With debug=1, a profile is text.
goroutine?debug=2 stops the program; if that is for more than a second, it needs force=1
too. There are no lines about the runtime's memory in heap?debug=1, and symbol has no
symbols: the profiles contain the names.

At most 4 commands run at a time; further requests wait. A request must name the server
in its Host header, as every browser and tool does. The log of the program has each
request, as it has each command.
`

// serveFlags are the flags of serve.
type serveFlags struct {
	connectFlags
	address  string
	insecure bool
}

func (f *serveFlags) define(flags *flag.FlagSet) {
	f.connectFlags.define(flags)
	defineListen(flags, &f.address, &f.insecure)
}

// defineListen adds the flags of a subcommand that serves HTTP.
func defineListen(flags *flag.FlagSet, address *string, insecure *bool) {
	flags.StringVar(address, "http", "127.0.0.1:0", "listen at this `ADDRESS`")
	flags.BoolVar(insecure, "insecure", false, "have no random token in the path")
}

func runServe(args []string, stdout, stderr io.Writer) error {
	var f serveFlags
	rest, err := parseMixed("serve", args, f.define)
	if err != nil {
		return err
	}
	p, err := profiledProgram("serve", &f.connectFlags, rest, 1)
	if err != nil {
		return err
	}
	server, err := loopback.Listen(f.address, f.insecure)
	if err != nil {
		return usageError{"serve: " + err.Error()}
	}
	ctx, stop := p.untilEnd()
	defer stop()
	defer p.close()
	if server.Public() {
		fmt.Fprintln(stderr, "oneshot: other machines can reach this address")
	}
	if _, err := fmt.Fprintln(stdout, strings.TrimSuffix(server.URL(), "/")+bridge.Prefix); err != nil {
		server.Close()
		return err
	}
	if err := server.Serve(ctx, logged(p.answerFirst(bridge.Handler(p)), stderr)); err != nil {
		return err
	}
	if errors.Is(context.Cause(ctx), errStopped) {
		return nil
	}
	return context.Cause(ctx)
}

// errStopped is the cause of an end by Ctrl-C or SIGTERM.
var errStopped = errors.New("stopped by a signal")

// logged returns a handler that writes a line for each request, without the token.
func logged(h http.Handler, to io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, status := time.Now(), &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			text := fmt.Sprintf("%s %s %d in %v", r.Method, r.URL.RequestURI(), status.status, time.Since(began).Round(time.Millisecond))
			fmt.Fprintf(to, "%s %s\n", began.Format(time.TimeOnly), display.FitLine(text, maxLogLine))
		}()
		h.ServeHTTP(status, r)
	})
}

// maxLogLine is the longest line about a request, in columns.
const maxLogLine = 300

// statusWriter keeps the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
