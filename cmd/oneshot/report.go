//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/htmlreport"
)

// reportBundle makes the page of a bundle. Without a name for the page, it is that of the
// bundle.
func reportBundle(path, file string, stdout io.Writer) error {
	b, err := bundle.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("report: %w; give a file that oneshot bundle has written, or a process", err)
	} else if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if file == "" {
		file = strings.TrimSuffix(filepath.Base(path), ".tar.gz") + ".html"
	}
	return writeReport(b, file, stdout)
}

// writeReport writes the page of a bundle to a new file, and prints its name.
func writeReport(b *bundle.Bundle, path string, stdout io.Writer) error {
	file, err := bundle.Create(path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("report: %s exists already; give another name with -o", path)
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := htmlreport.Write(file, b); err != nil {
		file.Close()
		return fmt.Errorf("report: %s is not complete: %w", file.Name(), err)
	}
	if err := file.Finish(); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = fmt.Fprintln(stdout, path)
	return err
}
