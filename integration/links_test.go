//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheLinksOfThePages requires that each link of a page to a file of this repository
// leads to a file, and to a heading in it.
func TestTheLinksOfThePages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	pages = append(pages, "../README.md", "../SECURITY.md", "../CONTRIBUTING.md", "../CHANGELOG.md")
	require.Greater(t, len(pages), 15)
	links := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(string(text), -1) {
			file, heading, _ := strings.Cut(link[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			links++
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", page, link[1], err)
			} else if heading != "" && !slices.Contains(headings(t, to), heading) {
				t.Errorf("%s: the link %s leads to no heading; there are %q", page, link[1], headings(t, to))
			}
		}
	}
	require.Greater(t, links, 50, "the links were found")
}

// headings returns the names with which links lead to the headings of a page: in small
// letters, without punctuation, and with hyphens for spaces.
func headings(t *testing.T, page string) (all []string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, line := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(line[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
