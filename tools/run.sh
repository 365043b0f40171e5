#!/bin/sh
# Behind `make run`: one answer to $PROMPT, or a chat when there is a terminal, or the prompt from
# standard input when there is none.
# Usage: tools/run.sh PROGRAM   (environment: PROMPT)
set -eu
program=$1
if [ -n "${PROMPT:-}" ]; then
  exec "$program" generate "$PROMPT"
elif [ -t 0 ] && [ -t 1 ]; then
  exec "$program" chat
elif [ ! -t 0 ]; then
  prompt=$(cat)
  if [ -n "$prompt" ]; then
    exec "$program" generate "$prompt"
  fi
fi
echo 'There is no terminal to chat on and nothing on standard input. Ask one thing with'
echo '  make run PROMPT="What can you do?"'
