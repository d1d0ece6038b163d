//go:build unix

package bundle

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Bounds of what Open reads and keeps. A bundle may come from anybody.
const (
	MaxPart  = 64 << 20 // bytes; a larger part is not kept
	maxKept  = 256 << 20
	maxBytes = 2 << 30 // uncompressed, in all
	maxParts = 2000
	maxName  = 300 // bytes
)

// ErrNoPart is the error for a part that is not in the bundle.
var ErrNoPart = errors.New("it is not in the bundle")

// Bundle is a bundle that has been read.
type Bundle struct {
	Name      string    // of the folder in the archive
	Manifest  *Manifest // nil if it is missing
	Truncated error     // why the archive ends early; nil: it does not

	names []string
	parts map[string][]byte // without those that are too large
}

// Open reads a bundle. A bundle that was cut off is no error, if it has a part.
func Open(path string) (*Bundle, error) {
	// Without O_NONBLOCK, a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; give a file that oneshot bundle has written", path)
	}
	b, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Read is Open for bytes that come from somewhere else.
func Read(r io.Reader) (*Bundle, error) {
	unpacked, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("not a bundle, which is compressed with gzip: %w", err)
	}
	b := &Bundle{parts: make(map[string][]byte)}
	err = b.read(tar.NewReader(&bounded{unpacked, maxBytes}))
	switch {
	case errors.As(err, new(formatError)):
		return nil, err
	case err != nil && len(b.names) == 0:
		return nil, fmt.Errorf("not a bundle, or without a whole part: %w", err)
	case len(b.names) == 0:
		return nil, errors.New("not a bundle: the archive is empty")
	}
	b.Truncated = err
	return b, b.readManifest()
}

// Names returns the names of all parts, in the order of the archive. It contains those that
// are too large for Part. A name may contain any character: escape it before you show it.
func (b *Bundle) Names() []string { return slices.Clone(b.names) }

// Part returns the content of a part, which the caller must not change. If there is no such
// part, the error is ErrNoPart.
func (b *Bundle) Part(name string) ([]byte, error) {
	data, ok := b.parts[name]
	switch {
	case ok:
		return data, nil
	case slices.Contains(b.names, name):
		return nil, fmt.Errorf("%s: it is too large; unpack it with tar xzf", name)
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoPart)
}

// formatError is the error for an archive that is no bundle.
type formatError string

func (e formatError) Error() string { return "not a bundle: " + string(e) }

func (b *Bundle) read(archive *tar.Reader) error {
	for kept := int64(0); ; {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case header.Typeflag == tar.TypeDir:
			continue
		}
		name, err := b.checkName(header)
		if err != nil {
			return err
		}
		if header.Size > MaxPart || kept+header.Size > maxKept {
			b.names = append(b.names, name) // Next passes over its bytes
			continue
		}
		data, err := io.ReadAll(archive) // it ends at header.Size
		if err != nil {
			return err
		}
		kept += header.Size
		b.names, b.parts[name] = append(b.names, name), data
	}
}

// checkName returns the name of a part: its path below the one folder.
func (b *Bundle) checkName(header *tar.Header) (string, error) {
	folder, name, below := strings.Cut(header.Name, "/")
	switch {
	case header.Typeflag != tar.TypeReg:
		return "", formatError(fmt.Sprintf("%.100q is not a regular file", header.Name))
	case !below || folder == "" || !isName(name) || len(header.Name) > maxName:
		return "", formatError(fmt.Sprintf("%.100q is not a file below one folder", header.Name))
	case b.Name != "" && folder != b.Name:
		return "", formatError(fmt.Sprintf("there are two folders, %.100q and %.100q", b.Name, folder))
	case slices.Contains(b.names, name):
		return "", formatError(fmt.Sprintf("there are two parts %.100q", name))
	case len(b.names) == maxParts:
		return "", formatError(fmt.Sprintf("there are more than %d parts", maxParts))
	}
	b.Name = folder
	return name, nil
}

// isName reports whether a name stays below the folder.
func isName(name string) bool {
	for _, word := range strings.Split(name, "/") {
		if word == "" || word == "." || word == ".." {
			return false
		}
	}
	return true
}

func (b *Bundle) readManifest() error {
	data, ok := b.parts[ManifestName]
	if !ok {
		return nil
	}
	m := new(Manifest)
	switch err := json.Unmarshal(data, m); {
	case err != nil:
		return fmt.Errorf("%s: %w", ManifestName, err)
	case m.Schema != Schema:
		return formatError(fmt.Sprintf("its manifest has the schema %.40q", m.Schema))
	case m.Version > Version:
		return fmt.Errorf("the bundle has version %d, and this program knows %d; use a newer oneshot", m.Version, Version)
	}
	b.Manifest = m
	return nil
}

// bounded returns an error after a number of bytes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, formatError(fmt.Sprintf("it has more than %d MiB", maxBytes>>20))
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
