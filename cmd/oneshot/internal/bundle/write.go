//go:build unix

package bundle

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Writer writes a bundle part by part.
type Writer struct {
	to     io.Writer
	folder string
}

// NewWriter returns a Writer of a bundle with a folder. It has written nothing yet.
func NewWriter(to io.Writer, folder string) (*Writer, error) {
	if !isName(folder) || len(folder) > maxName/2 {
		return nil, fmt.Errorf("%.100q cannot be the name of a folder", folder)
	}
	return &Writer{to: to, folder: folder}, nil
}

// Add writes a part, of which content has size bytes. When it returns, the archive is complete
// up to this part. After an error it is not, and the Writer must not be used any more.
func (w *Writer) Add(name string, at time.Time, content io.Reader, size int64) error {
	if !isName(name) || len(w.folder)+1+len(name) > maxName {
		return fmt.Errorf("%.100q cannot be the name of a part", name)
	}
	packed, err := gzip.NewWriterLevel(w.to, level(name))
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	err = archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: w.folder + "/" + name, Size: size, Mode: 0o600, ModTime: at.Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	if _, err := io.CopyN(archive, content, size); err != nil {
		return err
	}
	// Flush fills the last block. Close would write the end of the archive.
	return errors.Join(archive.Flush(), packed.Close())
}

// Close writes the manifest and the end of the archive.
func (w *Writer) Close(m *Manifest) error {
	m.Schema, m.Version = Schema, Version
	if m.Parts == nil {
		m.Parts = []Part{}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	packed := gzip.NewWriter(w.to)
	archive := tar.NewWriter(packed)
	err = archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: w.folder + "/" + ManifestName, Size: int64(len(text)), Mode: 0o600, ModTime: m.Ended.Truncate(time.Second),
	})
	if err != nil {
		return err
	}
	_, err = archive.Write(text)
	return errors.Join(err, archive.Close(), packed.Close())
}

// level returns how much to compress a part. A profile is compressed already.
func level(name string) int {
	if strings.HasSuffix(name, ".gz") {
		return gzip.NoCompression
	}
	return gzip.DefaultCompression
}
