package notary

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"evict/internal/audit"
)

// file is the append-only file of checkpoints outside the database: notes, a blank line between them.
type file struct{ path string }

// kept is what a file holds.
type kept struct {
	last audit.Checkpoint // Size 0 and no Note when there is none
	at   time.Time        // when the file was last written: by this program, or by whoever copied it
	size int64            // of the file, bytes
	torn int64            // bytes at its end that are no whole checkpoint: a write that a crash cut off
}

// lastPart is how much of the file is read: it grows by some 250 bytes with each checkpoint, for years.
const lastPart = 64 << 10

const signature = "\n\n— " // what begins the last line of a note

// read finds the last checkpoint. A file that is not there holds none; one that is something else is an error.
func (f file) read(origin string) (kept, error) {
	r, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, f.wrong(err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return kept{}, f.wrong(err)
	}
	from := max(0, info.Size()-lastPart)
	part, err := io.ReadAll(io.NewSectionReader(r, from, info.Size()-from))
	if err != nil {
		return kept{}, f.wrong(err)
	}
	k := kept{at: info.ModTime(), size: info.Size()}
	note, torn := lastNote(string(part))
	k.torn = int64(len(torn))
	if torn != "" && !begins(torn, origin) || note == "" && from > 0 {
		return kept{}, f.wrong(errors.New("it holds something else than checkpoints"))
	}
	if note == "" {
		return k, nil
	}
	if k.last, err = audit.ParseCheckpoint(note); err != nil {
		return kept{}, f.wrong(err)
	}
	if k.last.Origin != origin {
		return kept{}, f.wrong(fmt.Errorf("its checkpoints are of %s, and this is %s: each ledger needs a file of its own", k.last.Origin, origin))
	}
	return k, nil
}

// there reports whether the file is there.
func (f file) there() bool {
	_, err := os.Stat(f.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// wrong is an error of reading, with what to do.
func (f file) wrong(err error) error {
	return fmt.Errorf("the file of checkpoints %s cannot be used: %w; mend it, or set EVICT_CHECKPOINT_FILE to the right one", f.path, err)
}

// lastNote is the last whole note of a text, "" when there is none, and what comes after it.
func lastNote(text string) (note, torn string) {
	end := len(text)
	for {
		i := strings.LastIndex(text[:end], signature)
		if i < 0 {
			return "", strings.TrimLeft(text, "\n")
		}
		line := strings.IndexByte(text[i+2:], '\n')
		if line < 0 { // cut off within its signature
			end = i
			continue
		}
		after := i + 2 + line + 1
		body := strings.Split(text[:i], "\n")
		return strings.Join(body[max(0, len(body)-3):], "\n") + text[i:after], strings.TrimLeft(text[after:], "\n")
	}
}

// begins reports whether a torn piece is the beginning of a checkpoint of ours.
func begins(torn, origin string) bool {
	return strings.HasPrefix(torn, origin+"\n") || strings.HasPrefix(origin+"\n", torn)
}

// mend takes away what a crash left of a checkpoint, so that the next one begins a line of its own. A file that can only
// be appended to keeps it: it is read from its end.
func (f file) mend(k kept) error {
	if k.torn == 0 {
		return nil
	}
	return os.Truncate(f.path, k.size-k.torn)
}

// append adds a checkpoint and returns once it is on the disk.
func (f file) append(c audit.Checkpoint) (err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	w, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	info, err := w.Stat()
	if err != nil {
		return err
	}
	text := c.Note
	if info.Size() > 0 {
		text = "\n" + text
	}
	if _, err := w.WriteString(text); err != nil { // a full disk takes a part of it: what is kept stays readable
		return errors.Join(err, w.Truncate(info.Size()))
	}
	if err := w.Sync(); err != nil || info.Size() > 0 {
		return err
	}
	return syncFolder(filepath.Dir(f.path)) // the file's name, too, is to survive a power cut
}

func syncFolder(path string) (err error) {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
