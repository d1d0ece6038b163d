//go:build linux

package htmlreport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func placeOf(function string, line int) object {
	return object{"function": function, "file": "f.go", "line": line}
}

// The frames of a finding are those that a group has. The line must be the same, too.
func TestTheFramesOfAFinding(t *testing.T) {
	for name, test := range map[string]struct {
		places []object
		want   []string
	}{
		"a site":                      {[]object{placeOf("main.run", 3)}, []string{"main.run"}},
		"a frame":                     {[]object{placeOf("main.send", 2)}, []string{"main.send"}},
		"two places":                  {[]object{placeOf("main.send", 2), placeOf("main.run", 3)}, []string{"main.send", "main.run"}},
		"another line":                {[]object{placeOf("main.run", 99)}, nil},
		"another function":            {[]object{placeOf("main.nobody", 3)}, nil},
		"no place":                    {nil, nil},
		"the program's own is better": {[]object{placeOf("time.Sleep", 1), placeOf("main.run", 3)}, []string{"main.run"}},
		"only the standard library":   {[]object{placeOf("time.Sleep", 1)}, []string{"time.Sleep"}},
	} {
		t.Run(name, func(t *testing.T) {
			stacks := stacksOf(groupOf(90, "sleep", "time.Sleep", "main.send", "main.run"))
			stacks["findings"] = []object{{"title": "one", "places": test.places}}
			d := dataOf(t, pageOf(t, bundleOf(t, parts{"stacks.json": stacks})))
			require.Len(t, d.Places, 1)
			var got []string
			for _, frame := range d.Places[0] {
				got = append(got, d.Strings[d.Frames[frame][0]])
			}
			require.Equal(t, test.want, got)
		})
	}
}
