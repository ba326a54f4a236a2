#!/usr/bin/env bash
# Tests that need neither network nor Java: detection, versions, tools, defaults.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/../../test/check.sh"
PACK="$HERE/.."
export STACK=debian-12

for file in pom.xml mvnw build.gradle build.gradle.kts gradlew settings.gradle settings.gradle.kts; do
  app "$file"
  check "detects $file" equal "$("$PACK/bin/detect" "$APP")" Java
done
app src/Hello.java
check 'refuses Java files alone' eval '! "$PACK/bin/detect" "$APP" >/dev/null 2>&1'

compile() {
  mkdir -p "$WORK/cache" "$WORK/env"
  OUTPUT=$(env "$@" "$PACK/bin/compile" "$APP" "$WORK/cache" "$WORK/env" 2>&1)
}
app pom.xml
compile WINDLASS_JAVA_SOURCE=nowhere
check 'an unknown source is told' contains "$OUTPUT" 'WINDLASS_JAVA_SOURCE names nowhere; known are debian and adoptium.'
app pom.xml 'system.properties=java.runtime.version=latest\n'
compile
check 'nonsense is refused' contains "$OUTPUT" 'system.properties asks for Java "latest"; write java.runtime.version=17'

# A server of Adoptium's that is a folder: curl with a query is replaced.
stub="$WORK/stub"
mirror="$WORK/mirror"
mkdir -p "$stub" "$mirror" "$WORK/jdk/jdk-21.0.9+10/bin" "$WORK/jdk/jdk-21.0.9+10/jmods"
printf '#!/bin/sh\n' >"$WORK/jdk/jdk-21.0.9+10/bin/java" && chmod +x "$WORK/jdk/jdk-21.0.9+10/bin/java"
tar -czf "$mirror/jdk.tar.gz" -C "$WORK/jdk" 'jdk-21.0.9+10'
answer() {
  printf '[{"binary": {"package": {"link": "%s", "checksum": "%s"}}, "version": {"openjdk_version": "21.0.9+10-LTS"}}]' \
    "file://$mirror/jdk.tar.gz" "$1" >"$mirror/answer"
}
cat >"$stub/curl" <<END
#!/usr/bin/env bash
[[ ! -f "$WORK/offline" ]] || { echo 'curl: (6) Could not resolve host' >&2; exit 6; }
for last; do :; done
while ((\$#)); do [[ \$1 == -o ]] && output=\$2; shift; done
case \$last in
  *assets/latest/21/hotspot*image_type=jdk*) cat "$mirror/answer" ;;
  *assets/latest*) echo '[]' ;;
  *) cp "\${last#file://}" "\$output" ;;
esac
END
chmod +x "$stub/curl"

# with_jdk SCRIPT [NAME=VALUE...]: runs it where Debian has Java 17. Sets OUTPUT.
with_jdk() {
  mkdir -p "$WORK/cache" "$APP/.heroku"
  OUTPUT=$(cd "$APP" && env PATH="$stub:$PATH" BUILD_DIR="$APP" CACHE_DIR="$WORK/cache" PACK_DIR="$PACK" "${@:2}" bash -c '
    set -euo pipefail; shopt -s nullglob
    for name in output debian_packages jdk maven gradle; do source "$PACK_DIR/lib/$name.sh"; done
    debian_version() {
      case $1 in
        default-j*) version=1.17 ;;
        openjdk-17-*) version=17.0.21.1 ;;
        *) echo "there is no package $1" >"$DEBIAN_CACHE/error"; return 1 ;;
      esac
    }
    mkdir -p "$DEBIAN_CACHE"
    provide_packages() {
      tree="$DEBIAN_CACHE/tree"; echo "packages ${*:2}"; echo "assumed $assumed"
      mkdir -p "$tree/usr/lib/jvm/java-17-openjdk-amd64" "$tree/usr/share/maven/bin"
      printf "#!/bin/sh\necho \"Apache Maven 3.8.7\"\necho \"mvn \$* opts \$MAVEN_OPTS\"\n" >"$tree/usr/share/maven/bin/mvn"
      chmod +x "$tree/usr/share/maven/bin/mvn"
    }
    copy_tree() { ls "$tree" >"$BUILD_DIR/copied"; }
    eval "$1"' _ "$1" 2>&1)
}
app pom.xml
with_jdk install_jdk
check 'the stack has a default' contains "$OUTPUT" '-----> Using OpenJDK 17.0.21.1 (debian), the default; system.properties can ask for another'
check 'which is a package' contains "$OUTPUT" 'packages openjdk-17-jdk-headless'
with_jdk 'install_jdk; java_environment'
check 'and has a home' contains "$OUTPUT" 'export JAVA_HOME=/app/.heroku/jdk/usr/lib/jvm/java-17-openjdk-amd64 PATH='
app pom.xml 'system.properties=# ours\njava.runtime.version = 17.0.9\n'
with_jdk install_jdk
check 'a patch release becomes the newest' contains "$OUTPUT" 'as asked for in system.properties (17.0.9)
       It is the newest of that line'
app pom.xml 'system.properties=java.runtime.version=21\n'
answer 00
with_jdk install_jdk
check 'a damaged download is told' contains "$OUTPUT" 'The download of OpenJDK 21.0.9 is damaged'
answer "$(sha256sum "$mirror/jdk.tar.gz" | cut -d ' ' -f 1)"
with_jdk install_jdk
check 'what Debian has not is downloaded' contains "$OUTPUT" $'-----> Downloading OpenJDK 21.0.9 (adoptium)\n-----> Using OpenJDK 21.0.9 (adoptium), as asked for in system.properties (21)'
check 'and is in the app' contains "$(<"$APP/copied")" bin
check 'without what only linking needs' test ! -e "$WORK/cache/adoptium/21/jmods"
touch "$WORK/offline"
with_jdk install_jdk
check 'the second time it is there' equal "$OUTPUT" '-----> Using OpenJDK 21.0.9 (adoptium), as asked for in system.properties (21)'
touch -d '2 days ago' "$WORK/cache/adoptium/looked-up"
with_jdk install_jdk
check 'also after a day without network' contains "$OUTPUT" ' !     Adoptium could not be asked for a newer release; that of the cache is used.'
rm "$WORK/offline"
app pom.xml 'system.properties=java.runtime.version=1.8\n'
with_jdk install_jdk
check 'what nobody has is told' contains "$OUTPUT" $' !     Java 8 could not be had:\n !     debian: it has no package openjdk-8-jdk-headless; there is no package openjdk-8-jdk-headless\n !     adoptium: there is no such release'

app pom.xml
with_jdk build_with_maven
check 'Maven has its usual goals' contains "$OUTPUT" '-----> Running: mvn -DskipTests clean install'
check 'and a repository in the cache' contains "$OUTPUT" "mvn --batch-mode -Dmaven.repo.local=$WORK/cache/m2/repository -DskipTests clean install opts -Xmx1024m"
check 'without a Java of its own' contains "$OUTPUT" ' openjdk-17-jre-headless'
with_jdk build_with_maven MAVEN_CUSTOM_OPTS= MAVEN_CUSTOM_GOALS='package site' MAVEN_SETTINGS_PATH=my.xml
check 'or others' contains "$OUTPUT" '/repository --settings my.xml package site opts'
with_jdk build_with_maven WINDLASS_MAVEN_REPOSITORY=debian
check "Debian's repository can take all others' place" contains "$OUTPUT" "--settings $WORK/cache/m2/debian.xml"
check 'with its plugins' contains "$OUTPUT" ' libmaven-compiler-plugin-java '
check 'by a mirror' contains "$(<"$WORK/cache/m2/debian.xml")" "<url>file://$WORK/cache/debian/tree/usr/share/maven-repo</url>"
with_jdk build_with_maven WINDLASS_MAVEN_REPOSITORY=x
check 'no other is known' contains "$OUTPUT" 'WINDLASS_MAVEN_REPOSITORY is x; known are central and debian.'
app pom.xml 'mvnw=#!/bin/sh\necho "[INFO] Downloading from central: x"\necho "[INFO] Downloaded from central: x"\necho "wrapper in $MAVEN_USER_HOME"\nexit 3\n' .mvn/wrapper/maven-wrapper.properties
with_jdk build_with_maven
check "the app's wrapper is used" contains "$OUTPUT" "       wrapper in $WORK/cache/m2"
check 'of its downloads the number is shown' contains "$OUTPUT" $'\n       1 files downloaded for Maven'
check 'and its failure' contains "$OUTPUT" ' !     Maven could not build the app; its message is above.'

gradlew='gradlew=#!/bin/sh\necho "gradle $* home $GRADLE_USER_HOME"\n'
app build.gradle
with_jdk build_with_gradle
check 'a missing wrapper is told' contains "$OUTPUT" ' !     There is no Gradle wrapper, or not all of it.'
wrapper=("$gradlew" gradle/wrapper/gradle-wrapper.jar gradle/wrapper/gradle-wrapper.properties)
app "${wrapper[@]}" 'build.gradle=plugins { id "java" }\n'
with_jdk build_with_gradle
check 'Gradle builds, its home in the cache' contains "$OUTPUT" "gradle --no-daemon --console=plain --build-cache build -x check home $WORK/cache/gradle"
with_jdk build_with_gradle GRADLE_TASK='shadowJar -q'
check 'or does what it is told' contains "$OUTPUT" '-----> Running: gradlew shadowJar -q'
app "${wrapper[@]}" 'build.gradle.kts=tasks.register("stage") { dependsOn("build") }\n'
with_jdk build_with_gradle
check 'a task stage is known' contains "$OUTPUT" '-----> Running: gradlew stage'

# jar NAME LINE...: an archive in target/ with these lines in its manifest.
jar() {
  mkdir -p "$APP/target"
  python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as file: file.writestr("META-INF/MANIFEST.MF", "\r\n".join(sys.argv[2:]) + "\r\n")' "$APP/target/$1" "${@:2}"
}
release() { "$PACK/bin/release" "$APP"; }
app pom.xml
jar library.jar 'Manifest-Version: 1.0'
check 'a library is not started' equal "$(release)" ''
jar app-1.0.jar 'Main-Class: hello.Server'
check 'a program is' contains "$(release)" '  web: java $JAVA_OPTS -jar target/app-1.0.jar'
jar app-1.0.jar 'Main-Class: org.springframework.boot.loader.JarLauncher' 'Spring-Boot-Version: 3.3.0'
check 'Spring Boot is told the port' contains "$(release)" '  web: java -Dserver.port=$PORT $JAVA_OPTS -jar target/app-1.0.jar'
jar other.jar 'Main-Class: hello.Other'
check 'of two none' equal "$(release)" ''
rm "$APP/target/other.jar" && touch "$APP/Procfile"
check 'none beside a Procfile' equal "$(release)" ''

check 'the tests in Python' python3 -m unittest discover -q -s "$HERE"
finish
