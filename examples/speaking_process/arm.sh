# Plays an arm: does what it hears, and says so. What is no event goes to the log.
while read -r event; do
    why=${event#*'"why":"'}
    echo "the arm stops: ${why%%\"*}"
done
