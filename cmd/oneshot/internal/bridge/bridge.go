//go:build linux

// Package bridge serves the profiles of a program in the form of net/http/pprof: the
// same paths, parameters and answers, so that go tool pprof, go tool trace, curl and
// scrapers need not know the difference. The program itself listens nowhere; the package
// asks for each profile with a command. It does not know how a command gets to the
// program, nor who may send requests.
package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
)

// Program is the program whose profiles are served. Its methods may be called at the
// same time.
type Program interface {
	// Run runs a command and writes its output to w. If the command has run and failed,
	// the error is a *CommandError. It returns when ctx ends.
	Run(ctx context.Context, w io.Writer, words ...string) error
	// CommandLine returns the arguments of the program, with a zero byte between them.
	CommandLine() ([]byte, error)
}

// CommandError is the error of a command that has run and failed.
type CommandError struct{ Text string }

func (e *CommandError) Error() string { return e.Text }

// TimeoutError is the error of a program that does not answer.
type TimeoutError struct{ Err error }

func (e *TimeoutError) Error() string { return e.Err.Error() }

// Prefix is where the profiles are, as in net/http/pprof.
const Prefix = "/debug/pprof/"

// maxName is the longest name of a profile.
const maxName = 200

// Handler returns a handler for the paths below Prefix.
func Handler(p Program) http.Handler {
	b := bridge{p, newSymbols()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		name, ok := strings.CutPrefix(r.URL.Path, Prefix)
		switch {
		case r.URL.Path == "/", r.URL.Path+"/" == Prefix:
			// Relative to the request, since the path may have had something before it.
			w.Header().Set("Location", map[bool]string{true: "debug/pprof/", false: "pprof/"}[r.URL.Path == "/"])
			w.WriteHeader(http.StatusFound)
		case !ok:
			serveError(w, http.StatusNotFound, "not found; the profiles are below "+Prefix)
		case name == "symbol" && r.Method == http.MethodPost:
			b.symbols.serve(w, http.MaxBytesReader(w, r.Body, maxQuery))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			serveError(w, http.StatusMethodNotAllowed, "only GET and HEAD are possible")
		case r.Method == http.MethodHead: // net/http/pprof records a profile for it
			w.WriteHeader(http.StatusOK)
		default:
			b.get(w, r, name)
		}
	})
}

type bridge struct {
	program Program
	symbols *symbols
}

func (b bridge) get(w http.ResponseWriter, r *http.Request, name string) {
	switch name {
	case "":
		b.index(w, r)
	case "cmdline":
		b.commandLine(w)
	case "symbol":
		b.symbols.serve(w, strings.NewReader(r.URL.RawQuery))
	case "profile":
		sec, err := strconv.ParseInt(r.FormValue("seconds"), 10, 64)
		if sec <= 0 || err != nil {
			sec = 30
		}
		b.file(w, r, "profile", "profile", "-seconds", strconv.FormatInt(sec, 10), "--", "cpu")
	case "trace":
		sec, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
		if !(sec > 0) || err != nil {
			sec = 1
		}
		b.file(w, r, "trace", "trace", "-seconds", strconv.FormatFloat(sec, 'f', -1, 64))
	default:
		b.profile(w, r, name)
	}
}

func (b bridge) commandLine(w http.ResponseWriter) {
	text, err := b.program.CommandLine()
	if err != nil {
		b.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text)
}

// deltas are the profiles that take ?seconds= (profileSupportsDelta in net/http/pprof).
var deltas = []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}

func (b bridge) profile(w http.ResponseWriter, r *http.Request, name string) {
	if name == "cpu" || strings.HasPrefix(name, "-") || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		serveError(w, http.StatusNotFound, "Unknown profile")
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	if seconds := r.FormValue("seconds"); seconds != "" {
		b.delta(w, r, name, seconds, debug)
		return
	}
	if gc, _ := strconv.Atoi(r.FormValue("gc")); name == "heap" && gc > 0 {
		if err := b.program.Run(r.Context(), io.Discard, "gc"); err != nil {
			b.fail(w, err)
			return
		}
	}
	switch {
	case debug == 0:
		b.file(w, r, name, "profile", "--", name)
	case debug >= 2 && name == "goroutine":
		words := []string{"stacks", "-go"}
		if force, _ := strconv.ParseBool(r.FormValue("force")); force {
			words = append(words, "-force")
		}
		b.text(w, r, name, func(to io.Writer) error {
			return b.program.Run(r.Context(), &fromFirstGoroutine{w: to}, words...)
		})
	default:
		b.text(w, r, name, func(to io.Writer) error {
			var data bytes.Buffer
			if err := b.program.Run(r.Context(), &data, "profile", "--", name); err != nil {
				return err
			}
			return writeText(to, name, data.Bytes(), b.symbols)
		})
	}
}

// fromFirstGoroutine leaves out what comes before the first goroutine: of a large program
// the command first says for how long it will stop it.
type fromFirstGoroutine struct {
	w    io.Writer
	held []byte
	seen bool
}

func (f *fromFirstGoroutine) Write(p []byte) (int, error) {
	if f.seen {
		return f.w.Write(p)
	}
	const maxBefore = 4 << 10
	f.held = append(f.held, p...)
	at := bytes.Index(f.held, []byte("goroutine "))
	for at > 0 && f.held[at-1] != '\n' {
		next := bytes.Index(f.held[at+1:], []byte("goroutine "))
		if next < 0 {
			at = -1
			break
		}
		at += 1 + next
	}
	if at < 0 && len(f.held) <= maxBefore {
		return len(p), nil
	}
	f.seen = true
	if _, err := f.w.Write(f.held[max(at, 0):]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// delta serves what has changed in a number of seconds.
func (b bridge) delta(w http.ResponseWriter, r *http.Request, name, seconds string, debug int) {
	sec, err := strconv.ParseInt(seconds, 10, 64)
	switch {
	case err != nil || sec <= 0:
		serveError(w, http.StatusBadRequest, `invalid value for "seconds" - must be a positive integer`)
	case !slices.Contains(deltas, name):
		serveError(w, http.StatusBadRequest, `"seconds" parameter is not supported for this profile type`)
	case debug != 0:
		serveError(w, http.StatusBadRequest, "seconds and debug params are incompatible")
	case name != "goroutine" && name != "threadcreate":
		b.file(w, r, name+"-delta", "profile", "-seconds", strconv.FormatInt(sec, 10), "--", name)
	default: // the command takes no time for them
		b.subtract(w, r, name, time.Duration(min(sec, maxSeconds))*time.Second)
	}
}

// maxSeconds is the longest time of a profile, as in the command profile.
const maxSeconds = 24 * 3600

// subtract takes a profile twice and serves the difference.
func (b bridge) subtract(w http.ResponseWriter, r *http.Request, name string, d time.Duration) {
	var before, after bytes.Buffer
	err := b.program.Run(r.Context(), &before, "profile", "--", name)
	if err == nil {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
		err = b.program.Run(r.Context(), &after, "profile", "--", name)
	}
	if err != nil {
		b.fail(w, err)
		return
	}
	out := &answer{w: w, name: name + "-delta"}
	b.end(out, r, name, difference.Write(out, before.Bytes(), after.Bytes()))
}

// file serves the output of a command as a file.
func (b bridge) file(w http.ResponseWriter, r *http.Request, name string, words ...string) {
	out := &answer{w: w, name: name}
	b.end(out, r, name, b.program.Run(r.Context(), out, words...))
}

// text serves what f writes of a profile as plain text.
func (b bridge) text(w http.ResponseWriter, r *http.Request, name string, f func(io.Writer) error) {
	out := &answer{w: w}
	b.end(out, r, name, f(out))
}

// end ends an answer about a profile. If it has failed and a part of it was sent, the
// connection is broken, so that nobody takes it for the whole.
func (b bridge) end(out *answer, r *http.Request, name string, err error) {
	if err == nil {
		out.complete()
		return
	}
	if out.begun {
		panic(http.ErrAbortHandler)
	}
	if errors.As(err, new(*CommandError)) && !b.exists(r.Context(), name) {
		serveError(out.w, http.StatusNotFound, "Unknown profile")
		return
	}
	b.fail(out.w, err)
}

// exists reports whether the program has a profile. If it does not say which it has, it
// may have it.
func (b bridge) exists(ctx context.Context, name string) bool {
	if name == "profile" || name == "trace" || slices.Contains(deltas, strings.TrimSuffix(name, "-delta")) {
		return true
	}
	var list bytes.Buffer
	err := b.program.Run(ctx, &list, "profile")
	return err != nil || slices.ContainsFunc(parseIndex(list.String()), func(e entry) bool { return e.Name == name })
}

// fail answers a request for which a command has failed.
func (b bridge) fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	var failed *CommandError
	var late *TimeoutError
	switch {
	case errors.As(err, &failed):
		status = http.StatusInternalServerError
	case errors.As(err, &late):
		status = http.StatusGatewayTimeout
	case errors.Is(err, ErrBusy):
		status = http.StatusServiceUnavailable
	}
	serveError(w, status, err.Error())
}

// ErrBusy is the error of Run if too many commands are running.
var ErrBusy = errors.New("too many requests at once")

// serveError answers with an error. With the header, go tool pprof shows the text.
func serveError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Go-Pprof", "1")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}
