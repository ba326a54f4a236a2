# Gradle, by the app's wrapper; its home is kept in the cache. Debian's Gradle is
# eight years old, and looks for its libraries where only root can put them.

# Prints the task to run where GRADLE_TASK does not say: Heroku's habits.
default_task() {
  local files=(build.gradle build.gradle.kts */build.gradle */build.gradle.kts)
  if grep -qsE 'org\.springframework\.boot' "${files[@]}"; then
    echo 'build -x check'
  elif grep -qsE 'io\.ratpack' "${files[@]}"; then
    echo 'installDist -x test'
  elif grep -qsE "(task|register|create)[ (]*[\"']?stage\b" "${files[@]}"; then
    echo stage
  else
    echo 'build -x check'
  fi
}

build_with_gradle() {
  local begin task
  [[ -f gradlew && -f gradle/wrapper/gradle-wrapper.jar && -f gradle/wrapper/gradle-wrapper.properties ]] ||
    abort 'There is no Gradle wrapper, or not all of it.' \
      'Run "gradle wrapper" and commit gradlew and the folder gradle/wrapper with its .jar.'
  chmod +x gradlew
  export GRADLE_USER_HOME="$CACHE_DIR/gradle"
  read -r -a task <<<"${GRADLE_TASK:-$(default_task)}"
  heading "Running: gradlew ${task[*]}"
  begin=$EPOCHREALTIME
  indented ./gradlew --no-daemon --console=plain --build-cache "${task[@]}" || abort 'Gradle could not build the app; its message is above.'
  info "Built in $(seconds_since "$begin")"
}
