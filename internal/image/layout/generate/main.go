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

// toolchains has one release of each line. A release that is added here needs a
// file own_go1N.go as well if the module can be built with it.
var toolchains = []string{"go1.21.13", "go1.22.12", "go1.23.12", "go1.24.13", "go1.25.8", "go1.26.8", "go1.27.4"}

var architectures = []string{"amd64", "arm64"}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var tables []table
	for _, toolchain := range toolchains {
		l, err := buildAll(ctx, toolchain)
		if err != nil {
			return err
		}
		t := table{toolchain, l}
		if err := t.write(); err != nil {
			return err
		}
		tables = append(tables, t)
	}
	return writeIndex(tables)
}

// buildAll returns the table for all architectures. It is an error if they differ.
func buildAll(ctx context.Context, toolchain string) (*layout.Layout, error) {
	var first *layout.Layout
	for _, arch := range architectures {
		l, err := build(ctx, toolchain, arch)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = l
		}
		if *l != *first {
			return nil, fmt.Errorf("%s: %s differs from %s; package layout must have a table for each", toolchain, arch, architectures[0])
		}
	}
	return first, nil
}
