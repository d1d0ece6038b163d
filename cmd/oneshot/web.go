//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/google/pprof/profile"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/loopback"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/pprofui"
)

const webHelp = `usage: oneshot web [-http ADDRESS] [-seconds N] [flags] PID [PROFILE]

Takes a profile (by default cpu; or heap, allocs, block, mutex, goroutine, threadcreate,
or one of the program's own) and shows it in the browser: the flame graph, the functions
and who calls them. It is the web interface of pprof, inside this program: neither a go
command nor graphviz is needed. Only the page Graph needs graphviz (the program dot).
The pages Source and Disassemble are closed: the program could name any file for them.
oneshot pprof has them.

	oneshot web 4321
	oneshot web -seconds 5 4321 allocs

	-seconds N      how long to record: a CPU profile takes 10 seconds by default; of
	                heap, allocs, block and mutex it shows what changes in that time
	-http ADDRESS   the address to listen at; default 127.0.0.1:0, a free port
	-insecure       no random token in the path
	-no-browser     only print the address

The other flags are those of a session (oneshot help connect). Ctrl-C ends it.
`

// webFlags are the flags of web.
type webFlags struct {
	serveFlags
	seconds   float64
	noBrowser bool
}

func (f *webFlags) define(flags *flag.FlagSet) {
	f.serveFlags.define(flags)
	flags.Float64Var(&f.seconds, "seconds", 0, "record for `N` seconds")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "only print the address")
}

// webCPUTime is how long a CPU profile takes, in seconds.
const webCPUTime = 10

func runWeb(args []string, stdout, stderr io.Writer) error {
	var f webFlags
	rest, err := parseMixed("web", args, f.define)
	if err != nil {
		return err
	}
	p, err := profiledProgram("web", &f.connectFlags, rest, 2)
	if err != nil {
		return err
	}
	server, err := loopback.Listen(f.address, f.insecure)
	if err != nil {
		return usageError{"web: " + err.Error()}
	}
	defer server.Close()
	taken, err := takeProfile(p, f.seconds, rest[1:], stderr)
	if err != nil {
		return err
	}
	handler, err := pprofui.Handler(taken, stderr)
	if err != nil {
		return err
	}
	if server.Public() {
		fmt.Fprintln(stderr, "oneshot: other machines can reach this address")
	}
	if _, err := fmt.Fprintln(stdout, server.URL()); err != nil {
		return err
	}
	if !f.noBrowser {
		openBrowser(server.URL())
	}
	// It goes on after the end of the program: the profile is here.
	p.pid = 0
	ctx, stop := p.untilEnd()
	defer stop()
	return server.Serve(ctx, handler)
}

// takeProfile takes the profile that the person wants. Ctrl-C ends the recording early.
func takeProfile(p *profiled, seconds float64, words []string, stderr io.Writer) (*profile.Profile, error) {
	name := "cpu"
	if len(words) > 0 {
		name = words[0]
	}
	line := []string{"profile", "--", name}
	if name == "cpu" && seconds == 0 {
		seconds = webCPUTime
	}
	if seconds != 0 {
		line = []string{"profile", "-seconds", strconv.FormatFloat(seconds, 'f', -1, 64), "--", name}
	}
	var data bytes.Buffer
	err := runCommand(p.target, p.options, commandLine(line), &limitedProfile{b: &data}, stderr)
	if wasInterrupted(err) && data.Len() > 0 {
		err = nil // it has what was recorded until then
	}
	if err != nil {
		return nil, err
	}
	return difference.Parse(data.Bytes())
}

// limitedProfile keeps a profile that is not too large.
type limitedProfile struct{ b *bytes.Buffer }

func (l *limitedProfile) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > difference.MaxBytes {
		return 0, errors.New("the profile is too large")
	}
	return l.b.Write(p)
}

// openBrowser shows a page, if there is a screen and a browser. Nothing is reported if
// there is none: the address has been printed.
func openBrowser(url string) {
	browser := os.Getenv("BROWSER")
	if browser == "" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	for _, name := range []string{browser, "xdg-open"} {
		path, err := exec.LookPath(name)
		if name == "" || err != nil {
			continue
		}
		cmd := exec.CommandContext(context.Background(), path, url)
		if cmd.Start() == nil {
			go func() { _ = cmd.Wait() }()
			return
		}
	}
}
