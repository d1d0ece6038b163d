//go:build linux

// Package pprofui is the web interface of pprof for one profile, as an HTTP handler. The
// profile comes from a program that may be hostile. So pprof gets no access to binaries,
// and its pages that open files are closed. The package does not know where the profile
// comes from, nor who may see it.
package pprofui

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/pprof/driver"
	"github.com/google/pprof/profile"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
)

// filePages are the pages of pprof that open files, or write one with settings.
var filePages = map[string]string{
	"/source":       "source files are not shown, because the profile says which files to open; oneshot pprof shows them",
	"/disasm":       "machine code is not shown, because the profile says which files to open; oneshot pprof shows it",
	"/saveconfig":   "settings are not saved here",
	"/deleteconfig": "settings are not saved here",
}

// Handler returns the web interface for a profile. Warnings of pprof go to errs.
func Handler(p *profile.Profile, errs io.Writer) (http.Handler, error) {
	var pages map[string]http.Handler
	captured := errors.New("captured")
	options := &driver.Options{
		Flagset: newFlags("-http=localhost:1", "-no_browser", "-symbolize=none", "profile"),
		Fetch:   fetched{p},
		Sym:     noSymbols{},
		Obj:     noFiles{},
		UI:      quiet{errs},
		HTTPServer: func(args *driver.HTTPServerArgs) error {
			pages = args.Handlers
			return captured
		},
	}
	if err := driver.PProf(options); !errors.Is(err, captured) {
		return nil, fmt.Errorf("pprof: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := pages[r.URL.Path]
		closed := filePages[r.URL.Path]
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			http.Error(w, "only GET and HEAD are possible", http.StatusMethodNotAllowed)
		case page == nil:
			http.NotFound(w, r)
		case closed != "":
			http.Error(w, "oneshot: "+closed, http.StatusForbidden)
		default:
			page.ServeHTTP(w, r)
		}
	}), nil
}

// fetched returns the profile that is there already. It returns no address: of a profile
// that has one, pprof saves a copy in the home directory.
type fetched struct{ profile *profile.Profile }

func (f fetched) Fetch(string, time.Duration, time.Duration) (*profile.Profile, string, error) {
	return f.profile, "", nil
}

// noSymbols leaves the profile as it is: a Go program has put the names into it.
type noSymbols struct{}

func (noSymbols) Symbolize(string, driver.MappingSources, *profile.Profile) error { return nil }

// noFiles opens no binaries.
type noFiles struct{}

var errNoFiles = errors.New("binaries are not opened")

func (noFiles) Open(string, uint64, uint64, uint64, string) (driver.ObjFile, error) {
	return nil, errNoFiles
}

func (noFiles) Disasm(string, uint64, uint64, bool) ([]driver.Inst, error) { return nil, errNoFiles }

// quiet shows warnings and nothing else.
type quiet struct{ errors io.Writer }

func (quiet) ReadLine(string) (string, error) { return "", io.EOF }
func (quiet) Print(...any)                    {}
func (q quiet) PrintErr(args ...any) {
	fmt.Fprintf(q.errors, "oneshot: pprof: %s\n", display.FitLine(fmt.Sprint(args...), 500))
}
func (quiet) IsTerminal() bool                    { return false }
func (quiet) WantBrowser() bool                   { return false }
func (quiet) SetAutoComplete(func(string) string) {}
