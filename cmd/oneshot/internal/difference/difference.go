// Package difference subtracts profiles: what a program has allocated since its start
// is in its profile now, and what it allocates in a minute is the difference of two.
// net/http/pprof does the same for ?seconds= (collectProfile and serveDeltaProfile).
package difference

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/google/pprof/profile"
)

// MaxBytes is the size of the largest profile, as it is sent and decompressed. The
// heap profile of a large program has a few MB.
const MaxBytes = 32 << 20

// Write writes to w what has changed from the profile before to the profile after. All
// three are in the format of go tool pprof. What has not changed is left out. Values
// can be negative, since less may be in use than before. They can differ by one from
// what the program has counted: in a profile of samples, each value is an estimate and
// was rounded.
func Write(w io.Writer, before, after []byte) error {
	first, err := Parse(before)
	if err != nil {
		return err
	}
	second, err := Parse(after)
	if err != nil {
		return err
	}
	// Profile.Scale computes with float64: above 2^53, which is 104 days of waiting in
	// nanoseconds, the sum of a value and its opposite would not be 0.
	for _, s := range first.Sample {
		for i := range s.Value {
			s.Value[i] = -s.Value[i]
		}
	}
	changed, err := profile.Merge([]*profile.Profile{first, second})
	if err != nil {
		return fmt.Errorf("the two profiles cannot be subtracted: %w", err)
	}
	// Merge keeps the earlier of the times.
	changed.TimeNanos = second.TimeNanos
	changed.DurationNanos = second.TimeNanos - first.TimeNanos
	return changed.Write(w)
}

// Parse reads a profile from a program that may send anything.
func Parse(data []byte) (*profile.Profile, error) {
	const unreadable = "the program has sent a profile that cannot be read: %w"
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf(unreadable, err)
	}
	text, err := io.ReadAll(io.LimitReader(zip, MaxBytes+1))
	if err == nil && len(text) > MaxBytes {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf(unreadable, err)
	}
	p, err := profile.ParseUncompressed(text)
	if err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		return nil, fmt.Errorf(unreadable, err)
	}
	return p, nil
}
