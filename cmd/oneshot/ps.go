//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
)

const psHelp = `usage: oneshot ps [-json]

Lists the running Go programs, except this one, and their manholes:

	PID      the pid to use with oneshot
	INNER    the pid that a process in a container has there; the name of its
	         socket contains it
	USER     its effective user
	GO       the version of Go that built it
	PROGRAM  its main module and version; if its name differs, the name in
	         parentheses
	MANHOLE  not linked: it does not import github.com/gomanhole/oneshot
	         linked, not installed: it does, but shows no notice of a manhole
	         otherwise the signals that open the manhole, and the path of its
	         socket
	OPEN     how many windows are open now

oneshot ps reads /proc/PID and sends nothing to any process. Only root can read the
processes of other users.

	-json   prints an array with one object for each process:

	pid          number
	inner_pid    number; equals pid if the process is not in a container
	uid, euid    numbers
	user         string, the name of euid; empty if it has none
	name         string, the name of the process
	start        number, the start time in clock ticks since boot
	go           string, such as go1.26.0
	main         string, the path of the main module
	version      string, the version of the main module
	revision     string, its version control revision, with +dirty; may be empty
	linked       boolean: it imports github.com/gomanhole/oneshot
	installed    boolean: it shows a notice of a manhole
	oneshot      string, the signal for one session; empty if there is none
	activate     string, the signal that keeps it open; empty if there is none
	socket       string, the path of the socket as seen from here; empty if not installed
	same_network boolean: an abstract socket (@name) can be reached from here
	open         number of windows; null if it is not permitted to read it
`

// psRow is a process in the list. Scripts rely on the names of its JSON fields.
type psRow struct {
	PID         int    `json:"pid"`
	InnerPID    int    `json:"inner_pid"`
	UID         int    `json:"uid"`
	EUID        int    `json:"euid"`
	User        string `json:"user"`
	Name        string `json:"name"`
	Start       uint64 `json:"start"`
	Go          string `json:"go"`
	Main        string `json:"main"`
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	Linked      bool   `json:"linked"`
	Installed   bool   `json:"installed"`
	Oneshot     string `json:"oneshot"`
	Activate    string `json:"activate"`
	Socket      string `json:"socket"`
	SameNetwork bool   `json:"same_network"`
	Open        *int   `json:"open"`
}

func runPS(args []string, stdout, stderr io.Writer) error {
	var asJSON bool
	rest, err := parseFlags("ps", args, func(flags *flag.FlagSet) {
		flags.BoolVar(&asJSON, "json", false, "")
	})
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Sprintf("ps: unexpected argument %.40q; oneshot ps lists all Go programs", rest[0])}
	}
	found, denied, scanErr := discovery.Scan()
	if scanErr != nil && len(found) == 0 {
		return scanErr
	}
	found = slices.DeleteFunc(found, func(p *discovery.Process) bool { return p.PID == os.Getpid() })
	rows, err := psRows(found)
	if err != nil {
		return err
	}
	if asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(rows)
	} else {
		err = printRows(stdout, rows)
	}
	if err == nil && denied > 0 {
		text := display.Count(denied, "process of another user was", "processes of other users were") + " skipped; root can read them"
		if os.Geteuid() == 0 {
			text = display.Count(denied, "process was", "processes were") + " skipped: not even root can read them here"
		}
		_, err = fmt.Fprintln(stderr, text)
	}
	return errors.Join(err, scanErr)
}

func psRows(found []*discovery.Process) ([]psRow, error) {
	rows := make([]psRow, 0, len(found)) // not nil, which JSON encodes as null
	users := make(map[int]string)
	var sockets discovery.Sockets
	for _, p := range found {
		name, ok := users[p.EUID]
		if !ok {
			if u, err := user.LookupId(strconv.Itoa(p.EUID)); err == nil {
				name = u.Username
			}
			users[p.EUID] = name
		}
		row := psRow{
			PID: p.PID, InnerPID: p.InnerPID(), UID: p.UID, EUID: p.EUID, User: name, Name: p.Name, Start: p.Start,
			Go: p.Go, Main: p.Main, Version: p.Version, Revision: p.Revision,
			Linked: p.Linked, Installed: p.Notice != nil, SameNetwork: p.SameNet(),
		}
		open := 0
		row.Open = &open
		if n := p.Notice; n != nil {
			row.Oneshot, row.Activate, row.Socket = n.Oneshot, n.Activate, p.SocketPath()
			var err error
			switch open, err = sockets.Windows(p); {
			case errors.Is(err, discovery.ErrNoProcess):
				continue
			case errors.Is(err, discovery.ErrNotPermitted):
				row.Open = nil
			case err != nil:
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printRows(w io.Writer, rows []psRow) error {
	contained := slices.ContainsFunc(rows, func(r psRow) bool { return r.InnerPID != r.PID })
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(cells ...string) {
		if !contained {
			cells = slices.Delete(cells, 1, 2)
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	line("PID", "INNER", "USER", "GO", "PROGRAM", "MANHOLE", "OPEN")
	for _, r := range rows {
		inner, open := "", ""
		if r.InnerPID != r.PID {
			inner = strconv.Itoa(r.InnerPID)
		}
		if r.Open == nil {
			open = "?"
		} else if *r.Open > 0 {
			open = strconv.Itoa(*r.Open)
		}
		user := cmp.Or(r.User, strconv.Itoa(r.EUID))
		line(strconv.Itoa(r.PID), inner, display.Cell(user), display.Cell(r.Go), display.Cell(r.program()), display.Cell(r.manhole()), open)
	}
	return out.Flush()
}

func (r psRow) program() string {
	if r.Main == "" || r.Main == "command-line-arguments" {
		return r.Name
	}
	text := r.Main
	if r.Version != "" {
		text += " " + r.Version
	}
	// The kernel cuts the name of a process after 15 bytes.
	if base := path.Base(r.Main); r.Name != base && (len(r.Name) < 15 || !strings.HasPrefix(base, r.Name)) {
		text += " (" + r.Name + ")"
	}
	return text
}

func (r psRow) manhole() string {
	switch {
	case !r.Installed && !r.Linked:
		return "not linked"
	case !r.Installed:
		return "linked, not installed"
	}
	var words []string
	if r.Oneshot != "" {
		words = append(words, r.Oneshot+" oneshot")
	}
	if r.Activate != "" {
		words = append(words, r.Activate+" activate")
	}
	if len(words) == 0 {
		words = append(words, "no signal")
	}
	text := strings.Join(words, ", ") + "  " + r.Socket
	if strings.HasPrefix(r.Socket, "@") && !r.SameNetwork {
		text += " in another network namespace"
	}
	return text
}
