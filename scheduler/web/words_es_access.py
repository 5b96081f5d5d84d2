"""Spanish of the log-in and of the page of keys and users."""

from __future__ import annotations

WORDS: dict[str, str | tuple[str, str]] = {
    "Log in": "Iniciar sesión",
    "The name or the password is wrong.": "El nombre o la contraseña no es correcto.",
    "Too many log-ins failed. Try again in {n} seconds.": (
        "Demasiados intentos fallidos. Inténtelo de nuevo en {n} segundo.",
        "Demasiados intentos fallidos. Inténtelo de nuevo en {n} segundos.",
    ),
    "Name": "Nombre",
    "Password": "Contraseña",
    "Access": "Acceso",
    "Who may see and change what: keys of programs, and people who log in.":
        "Quién puede ver y cambiar qué: claves de programas y personas que inician sesión.",
    "API keys": "Claves de API",
    "Prefix": "Prefijo",
    "Scope": "Alcance",
    "Account": "Cuenta",
    "State": "Estado",
    "Created": "Creación",
    "Expires": "Caducidad",
    "Last used": "Último uso",
    "valid": "válida",
    "expired": "caducada",
    "revoked": "revocada",
    "read": "lectura",
    "operate": "operación",
    "admin": "administración",
    "viewer": "observador",
    "operator": "operador",
    "Users": "Usuarios",
    "Role": "Rol",
    "Last log-in": "Último inicio de sesión",
    "There is no key yet.": "Todavía no hay ninguna clave.",
    "There is no user yet.": "Todavía no hay ningún usuario.",
    "this session is over; log in again": "esta sesión ha terminado; inicie sesión de nuevo",
    "the token of this page is missing or old; load the page again":
        "falta el código de esta página o es antiguo; vuelva a cargarla",
    "this was asked by a page of another site, so it was not done":
        "lo pidió una página de otro sitio, así que no se hizo",
    "this concerns the whole installation; a key of one account cannot ask it":
        "esto concierne a toda la instalación; una clave de una sola cuenta no puede pedirlo",
    "this needs the scope {scope}; yours is {own}": "esto requiere el alcance {scope}; el suyo es {own}",
    "there is no user and no key yet: open the link that was printed where this was started, or make one "
    "(ringback users add NAME --role admin, ringback keys create NAME)":
        "todavía no hay usuarios ni claves: abra el enlace que se mostró donde se inició esto, o cree uno "
        "(ringback users add NOMBRE --role admin, ringback keys create NOMBRE)",
    "this link was used already, or never was one: start anew for another, or make a user or a key":
        "este enlace ya se usó o nunca lo fue: inicie de nuevo para tener otro, o cree un usuario o una clave",
    "Your log-in": "Su inicio de sesión",
    "Change the password": "Cambiar la contraseña",
    "Present password": "Contraseña actual",
    "New password (12 characters or more)": "Contraseña nueva (12 caracteres o más)",
    "The new password again": "La contraseña nueva otra vez",
    "Second factor": "Segundo factor",
    "Code": "Código",
    "Secret": "Secreto",
    "Turn it on": "Activarlo",
    "Turn it off": "Desactivarlo",
    "Set it up": "Configurarlo",
    "It is on: from now on a log-in needs a code of the authenticator. If you lose it, each of these codes lets you in "
    "once. They are not shown again:":
        "Está activado: desde ahora iniciar sesión requiere un código del autenticador. Si lo pierde, cada uno de "
        "estos códigos le deja entrar una vez. No se vuelven a mostrar:",
    "A log-in needs a code of the authenticator.": "Iniciar sesión requiere un código del autenticador.",
    "Open this link with an authenticator, or type the secret there; then write the code that it shows.":
        "Abra este enlace con un autenticador o escriba allí el secreto; después escriba el código que muestra.",
    "With it a password that got out lets nobody in: a log-in needs a code of an app on your phone too.":
        "Con él, una contraseña que se filtró no deja entrar a nadie: hace falta también un código de su teléfono.",
    "Code, if you have a second factor": "Código, si tiene un segundo factor",
    "The name, the password or the code is wrong.": "El nombre, la contraseña o el código no es correcto.",
    "the password or the code is wrong": "la contraseña o el código no es correcto",
    "write the new password twice, the same": "escriba la contraseña nueva dos veces, igual",
    "this is for people who log in; a key has no password":
        "esto es para personas que inician sesión; una clave no tiene contraseña",
    "It is changed. Wherever else you were logged in, that ended.":
        "Se cambió. Donde más tenía la sesión abierta, terminó.",
    "there is a second factor already; turn it off first": "ya hay un segundo factor; desactívelo antes",
    "there is no second factor that waits to be confirmed; begin anew":
        "no hay ningún segundo factor por confirmar; empiece de nuevo",
    "access is open, so only localhost is served; make a user or a key first":
        "el acceso está abierto, así que solo se atiende a localhost; cree antes un usuario o una clave",
    "access is open, so no proxy is served; make a user or a key first":
        "el acceso está abierto, así que no se atiende a través de un proxy; cree antes un usuario o una clave",
    "too many requests are under way; try again in a moment":
        "hay demasiadas peticiones en curso; inténtelo de nuevo en un momento",
    "at most {n} requests a second; try again in {s} s":
        "como máximo {n} peticiones por segundo; inténtelo de nuevo en {s} s",
    "a request to this address has at most {size}": "una petición a esta dirección tiene como máximo {size}",
    "the body did not arrive in time": "los datos no llegaron a tiempo",
}
