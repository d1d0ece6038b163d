// Command generate writes the tables of package layout. It builds a small program
// with the toolchain of each release, for each architecture, and reads its DWARF. The
// go command gets the toolchains through the module proxy.
//
// Run it with go generate in internal/image/layout.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// releases has the toolchains that the tables are made with, one for each line of
// releases, and one more for each patch release that changed the structs. A line that
// is added here needs a file own_go1N.go as well if the module can be built with it.
var releases = []release{
	{"go1.21.13", 0},
	{"go1.22.12", 0},
	{"go1.23.0", 0},
	{"go1.23.4", 4},
	{"go1.23.12", 12},
	{"go1.24.0", 0},
	{"go1.24.13", 6},
	{"go1.25.8", 0},
	{"go1.26.8", 0},
	{"go1.27.4", 0},
}

// release is a toolchain, and the first patch release of its line that has the same
// structs.
type release struct {
	toolchain string
	since     layout.Offset
}

var architectures = []string{"amd64", "arm64"}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var tables []table
	for _, r := range releases {
		l, err := buildAll(ctx, r)
		if err != nil {
			return err
		}
		t := table{r.toolchain, l}
		if err := t.write(); err != nil {
			return err
		}
		tables = append(tables, t)
	}
	return writeIndex(tables)
}

// buildAll returns the table for all architectures. It is an error if they differ.
func buildAll(ctx context.Context, r release) (*layout.Layout, error) {
	var first *layout.Layout
	for _, arch := range architectures {
		l, err := build(ctx, r.toolchain, arch)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = l
		}
		if *l != *first {
			return nil, fmt.Errorf("%s: %s differs from %s; package layout must have a table for each", r.toolchain, arch, architectures[0])
		}
	}
	first.Patch = r.since
	return first, nil
}
