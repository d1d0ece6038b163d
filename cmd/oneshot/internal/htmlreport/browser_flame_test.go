//go:build linux

package htmlreport

import (
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// TestAValueOfWhichNothingWasRecorded: a person has looked for a function in another value.
func TestAValueOfWhichNothingWasRecorded(t *testing.T) {
	f := &profile.Function{ID: 1, Name: "main.f"}
	at := &profile.Location{ID: 1, Line: []profile.Line{{Function: f}}}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "in use", Unit: "bytes"}, {Type: "allocated", Unit: "bytes"}},
		Sample:     []*profile.Sample{{Location: []*profile.Location{at}, Value: []int64{0, 9}}},
		Location:   []*profile.Location{at}, Function: []*profile.Function{f},
	}
	var data strings.Builder
	require.NoError(t, p.Write(&data))
	b := openTab(t, pageOf(t, bundleOf(t, parts{"profiles/heap-delta.pb.gz": data.String()})))
	const info = `document.querySelector(".info").textContent`
	b.eval(`document.querySelector(".tools input").value = "main"`)
	b.eval(`document.querySelector(".tools input").dispatchEvent(new Event("input"))`)
	require.Equal(t, "main: in 100% of allocated", b.eval(info))
	b.eval(`document.querySelector(".tools select").selectedIndex = 0`)
	b.eval(`document.querySelector(".tools select").dispatchEvent(new Event("change"))`)
	require.Equal(t, "Nothing was recorded.", b.eval(info))
	require.Empty(t, b.wrong)
}
