// Package oneshothttp serves the commands of a manhole over HTTP, for the admin server
// that a program has already:
//
//	admin.Handle("/debug/oneshot/", oneshothttp.Handler(oneshothttp.Options{}))
//
//	curl localhost:6060/debug/oneshot/                        what there is
//	curl localhost:6060/debug/oneshot/stacks
//	curl 'localhost:6060/debug/oneshot/stacks?args=-n+0+cache'
//	curl -X POST localhost:6060/debug/oneshot/gc
//	go tool pprof http://localhost:6060/debug/oneshot/profile?args=heap
//
// The last element of the path is the command. The query args is the rest of the line, as
// in the console.
//
// The handler does not ask who the client is: authorization is the business of the
// server in which it is. Whoever may send it requests sees stacks, the environment and the
// Locals, and changes settings. Put it behind a check of your own, or on a server that
// only listens on a loopback address or a unix socket. Serve it nowhere else.
//
// These things it does by itself:
//
//   - GET serves only commands that change nothing in the program. All others need POST:
//     gc, setgc 200, the flags -force and -racy, and every command of the program. The
//     flag -o, which writes a file, is refused.
//   - A request that a browser makes for another site is refused (Sec-Fetch-Site, Origin),
//     as [http.CrossOriginProtection] does it for POST.
//   - A request on a loopback address must be for localhost or an IP address (Host), so
//     that no site can reach it by another name (DNS rebinding). Options.Hosts has
//     further names, and then holds for every address.
//   - The answer is text/plain, which browsers must not interpret, or with the flag -json
//     application/json. A profile or a trace is an attachment.
//   - There are at most four requests at a time, each has a time limit, and an answer has
//     at most 256 MiB.
//
// The handler needs no signal, no window and no installed manhole. With a manhole, it has
// the program's Commands and Locals too, and each request is logged as a session.
package oneshothttp

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

// DefaultMaxTime is the default of Options.MaxTime.
const DefaultMaxTime = 2 * time.Minute

const (
	maxRequests = 4    // at a time; a manhole has 8 sessions
	maxLine     = 4096 // bytes
	maxOutput   = 256 << 20
	writeTime   = 30 * time.Second // for a client that does not read
)

// Options configure a handler. The zero value is useful.
type Options struct {
	// Manhole has the commands and the Locals. Nil: the manhole that is installed at the
	// time of a request. If there is none, there are only the built-in commands.
	Manhole *oneshot.Manhole

	// Hosts are the names, without a port, by which clients may reach the handler
	// (Host). Empty: any, but on a loopback address only localhost and IP addresses.
	Hosts []string

	// ReadOnly refuses every command that may change something in the program.
	ReadOnly bool

	// MaxTime is how long a command may run. Zero: DefaultMaxTime.
	MaxTime time.Duration
}

// Handler returns a handler for the commands. See the package documentation, and mind
// that it does not ask who the client is.
func Handler(o Options) http.Handler {
	if o.MaxTime <= 0 {
		o.MaxTime = DefaultMaxTime
	}
	return &handler{Options: o, places: make(chan struct{}, maxRequests), maxOutput: maxOutput}
}

type handler struct {
	Options
	places    chan struct{} // has room for a running request
	maxOutput int
	cross     http.CrossOriginProtection
}

// failure is an error with the status of its answer.
type failure struct {
	status int
	text   string
}

func fail(status int, format string, args ...any) *failure {
	return &failure{status, fmt.Sprintf(format, args...)}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	words, line, failed := h.check(r)
	if failed == nil {
		select {
		case h.places <- struct{}{}:
			defer func() { <-h.places }()
			h.run(w, r, words, line)
			return
		default:
			head.Set("Retry-After", "1")
			failed = fail(http.StatusServiceUnavailable, "%d requests are running already, which is the limit", maxRequests)
		}
	}
	if failed.status == http.StatusMethodNotAllowed {
		head.Set("Allow", "POST")
	}
	w.WriteHeader(failed.status)
	fmt.Fprintln(w, plaintext.Line(failed.text))
}

// check returns the words of the command line and the line, or why there is none.
func (h *handler) check(r *http.Request) (words []string, line string, failed *failure) {
	if !h.isForUs(r) {
		return nil, "", fail(http.StatusForbidden, "the host %.100q is not served; Options.Hosts has the names that are", r.Host)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if err := h.cross.Check(r); err != nil || site == "cross-site" || site == "same-site" {
		return nil, "", fail(http.StatusForbidden, "a request that another site makes is not served")
	}
	name := path.Base("/" + r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/") || name == "/" {
		name = "help"
	}
	line = name + " " + r.URL.Query().Get("args")
	if len(line) > maxLine || strings.ContainsFunc(line, unicode.IsControl) || shellwords.First(line) != name {
		return nil, "", fail(http.StatusBadRequest, "the command is not one line of at most %d bytes", maxLine)
	}
	words, err := shellwords.Split(line)
	if err != nil || words[0] != name {
		return nil, "", fail(http.StatusBadRequest, "%s: the arguments are not words: %v", name, err)
	}
	reads := command.ReadOnly(words)
	switch {
	case command.HasFlag(words, "o"):
		return nil, "", fail(http.StatusForbidden, "-o, which writes a file, is not served; the answer has the output")
	case h.ReadOnly && !reads:
		return nil, "", fail(http.StatusForbidden, "only commands that change nothing are served (Options.ReadOnly)")
	case r.Method == http.MethodPost, r.Method == http.MethodGet && reads:
		return words, line, nil
	case r.Method == http.MethodGet:
		return nil, "", fail(http.StatusMethodNotAllowed, "%s may change something in the program, and needs POST", name)
	}
	return nil, "", fail(http.StatusMethodNotAllowed, "%s is not served; use POST, or GET for what changes nothing", r.Method)
}

// isForUs reports whether the host of a request is one by which the handler may be reached.
func (h *handler) isForUs(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if len(h.Hosts) > 0 {
		return slices.ContainsFunc(h.Hosts, func(name string) bool { return strings.EqualFold(name, host) })
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	tcp, ok := local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return true // a browser cannot reach a unix socket
	}
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}

// run runs a command and answers the request.
func (h *handler) run(w http.ResponseWriter, r *http.Request, words []string, line string) {
	m := h.Manhole
	if m == nil {
		m = oneshot.Installed()
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), h.MaxTime, fmt.Errorf("it has run for %v, which is the limit", h.MaxTime))
	defer cancel()
	a := &answer{w: w, control: http.NewResponseController(w), room: h.maxOutput}
	if ending := command.Binary(words); ending != "" {
		name := words[0]
		if name == "profile" {
			name = words[1]
		}
		a.file = fmt.Sprintf("oneshot-%d-%s%s", os.Getpid(), name, ending)
	}
	text := w.Header().Get("Content-Type")
	if _, form := command.CutJSON(words); form == command.AsJSON {
		w.Header().Set("Content-Type", "application/json")
	}
	a.extend()
	remarks, err := oneshot.RunCommand(ctx, m, line, a)
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil && a.n == 0 && remarks != "":
		fmt.Fprintln(w, remarks)
	case err == nil:
	case a.n == 0:
		w.Header().Set("Content-Type", text)
		w.WriteHeader(status(err, ctx))
		fmt.Fprintln(w, plaintext.Error(err))
	case a.file != "":
		panic(http.ErrAbortHandler) // the client must see that the file is not whole
	default:
		fmt.Fprintf(w, "\n%s: %s\n", words[0], plaintext.Error(err))
	}
}

// status returns the status for the error of a command that has no output.
func status(err error, ctx context.Context) int {
	switch {
	case ctx.Err() != nil:
		return http.StatusGatewayTimeout
	case errors.Is(err, oneshot.ErrNotInstalled):
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// answer is what a command writes to.
type answer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	file    string // the name of the attachment; empty: the output is text
	n       int    // bytes written, or for which there was no room
	room    int    // at most so many
}

// extend gives the client time to read. The time of the server may be over before a
// profile is ready.
func (a *answer) extend() { _ = a.control.SetWriteDeadline(time.Now().Add(writeTime)) }

func (a *answer) Write(p []byte) (int, error) {
	if a.n == 0 && a.file != "" {
		a.w.Header().Set("Content-Type", "application/octet-stream")
		a.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.file}))
	}
	if a.n += len(p); a.n > a.room {
		return 0, errors.New("the output ends here, at its limit")
	}
	a.extend()
	n, err := a.w.Write(p)
	_ = a.control.Flush()
	return n, err
}
