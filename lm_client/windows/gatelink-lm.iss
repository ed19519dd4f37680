; Installer of the LinkManager for Windows 10 and 11 (Inno Setup 6). NEVER BUILT OR RUN SO FAR: see docs/windows.md.
; The directory dist\lm is made by PyInstaller (lm.spec); tap-windows6 comes as its own signed installer beside this file.
[Setup]
AppId={{B5C5A9A4-6C0B-4C47-9E0E-67617465006C}
AppName=Gatelink LinkManager
AppVersion=0.1.0
DefaultDirName={autopf}\Gatelink LinkManager
DefaultGroupName=Gatelink
PrivilegesRequired=admin
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
MinVersion=10.0.17763
OutputBaseFilename=gatelink-lm-0.1.0
Compression=lzma2
SolidCompression=yes

[Files]
Source: "dist\lm\*"; DestDir: "{app}"; Flags: recursesubdirs ignoreversion
Source: "tap-windows-installer.exe"; DestDir: "{tmp}"; Flags: deleteafterinstall
; Of OpenVPN's community build: makes and names adapters.
Source: "tapctl.exe"; DestDir: "{app}"; Flags: ignoreversion

[Icons]
Name: "{group}\Gatelink LinkManager"; Filename: "{app}\lm.exe"; Parameters: "ui"

[Run]
Filename: "{tmp}\tap-windows-installer.exe"; Parameters: "/S"; StatusMsg: "Installing the network driver"
; A session at a time needs an adapter; that there is one already is no error.
Filename: "{app}\tapctl.exe"; Parameters: "create --name ""Gatelink"" --hwid root\tap0901"; Flags: runhidden
Filename: "{app}\tapctl.exe"; Parameters: "create --name ""Gatelink 2"" --hwid root\tap0901"; Flags: runhidden
Filename: "{app}\tapctl.exe"; Parameters: "create --name ""Gatelink 3"" --hwid root\tap0901"; Flags: runhidden
Filename: "{sys}\sc.exe"; Parameters: "create gatelink-lm binPath= ""\""{app}\lm.exe\"" service"" start= auto DisplayName= ""Gatelink LinkManager"""; Flags: runhidden
Filename: "{sys}\sc.exe"; Parameters: "failure gatelink-lm reset= 60 actions= restart/1000/restart/1000/restart/5000"; Flags: runhidden
Filename: "{sys}\sc.exe"; Parameters: "start gatelink-lm"; Flags: runhidden

[UninstallDelete]
Type: files; Name: "{app}\service.log"
Type: files; Name: "{app}\service.log.1"

[UninstallRun]
Filename: "{sys}\sc.exe"; Parameters: "stop gatelink-lm"; Flags: runhidden; RunOnceId: "stop"
Filename: "{app}\lm.exe"; Parameters: "service --clean-up"; Flags: runhidden; RunOnceId: "cleanup"
Filename: "{sys}\sc.exe"; Parameters: "delete gatelink-lm"; Flags: runhidden; RunOnceId: "delete"
Filename: "{app}\tapctl.exe"; Parameters: "delete ""Gatelink"""; Flags: runhidden; RunOnceId: "adapter1"
Filename: "{app}\tapctl.exe"; Parameters: "delete ""Gatelink 2"""; Flags: runhidden; RunOnceId: "adapter2"
Filename: "{app}\tapctl.exe"; Parameters: "delete ""Gatelink 3"""; Flags: runhidden; RunOnceId: "adapter3"
